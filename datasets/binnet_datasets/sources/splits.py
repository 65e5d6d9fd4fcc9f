"""Detection of the folders of training, validation and test images by their names and neighbours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from ..errors import DataError

LAYOUTS = ("splits", "classes")
_KINDS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_WORDS = {word: kind for kind, words in _KINDS.items() for word in words}
_FILLING_TEXT = """
a all the new final seg cls part split set sets data dataset datasets folder file files image images img imgs photo
photos pic pics picture pictures sample samples jpg jpeg png cropped resized
"""
_FILLING = frozenset(_FILLING_TEXT.split())  # words beside the split's name that carry no meaning
_JOINED = re.compile(rf"({'|'.join(_WORDS)})(set|sets|data|dataset|images|imgs|img|split)")


def same_name(name: str) -> str:
    """A form of a class name that is the same whatever its case and Unicode form."""
    # Composed before casefold as well, which makes a letter of the Greek iota subscript: an accent that follows it in
    # the decomposed form would move to that letter.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def split_of(name: str) -> tuple[str, str] | None:
    """Tell which split a folder is named after.

    Parameters
    ----------
    name : name of the folder, as in "training_set", "train2017", "seg_test", "TRAIN" or "ILSVRC2012_img_val"

    Returns
    -------
    "train", "val" or "test", and the words besides those that usually go with it ("" in all of these but the last);
    None when the name says nothing of a split
    """
    # "trainImages" counts as two words.
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", spaced)]
    words = [joined[1] if (joined := _JOINED.fullmatch(word)) else word for word in words]
    kinds = {_WORDS[word] for word in words if word in _WORDS}
    if len(kinds) != 1:  # "train_test" names two, "cats" none
        return None
    return kinds.pop(), " ".join(word for word in words if word not in _WORDS and word not in _FILLING)


class Tree:
    """The folders that hold images at any depth.

    Attributes
    ----------
    inside : folders in a folder, by its name, "" for the top
    direct : folders that hold images themselves
    """

    def __init__(self, images: Iterable[str]) -> None:
        self.direct = {name.rpartition("/")[0] for name in images}
        parts = (folder.split("/") for folder in self.direct)
        folders = {"/".join(p[:n]) for p in parts for n in range(1, len(p) + 1)} - {""}
        self.inside: dict[str, list[str]] = {}
        for folder in sorted(folders):
            self.inside.setdefault(folder.rpartition("/")[0], []).append(folder)

    def children(self, folder: str) -> list[str]:
        """Folders in a folder."""
        return self.inside.get(folder, [])

    def descend(self, top: str) -> str:
        """Go down while there is one folder that holds folders: archives often wrap all in one."""
        while len(inside := self.children(top)) == 1 and self.children(inside[0]):
            top = inside[0]
        return top

    def classes(self, top: str) -> dict[str, str]:
        """Class folders of a split, by name in the form of `same_name`."""
        return {same_name(last(folder)): folder for folder in self.children(self.descend(top))}


def last(folder: str) -> str:
    """The last part of a name."""
    return folder.rpartition("/")[2]


def find_splits(tree: Tree, where: object, layout: str | None) -> dict[str, str]:
    """Find the folders of the splits.

    Parameters
    ----------
    tree : folders with images
    where : what messages call the source
    layout : "splits" or "classes" where the names can be read both ways; None to refuse these

    Returns
    -------
    folders by "train", "val" and "test", or the one folder of all class folders by ""

    Raises
    ------
    DataError
        When the folders can be read both ways, or there are two of a split.
    """
    top = ""
    # One folder at a time: `descend` would also pass by a "train" that is alone in its folder.
    while layout != "classes" and not _candidates(tree, top) and tree.descend(top) != top:
        top = tree.children(top)[0]
    found = {} if layout == "classes" else _candidates(tree, top)
    if layout == "splits" and not found:
        names = _listed(last(folder) for folder in tree.children(top))
        raise DataError(f"expected folders named as train, val or test in {where}, but got {names or 'none'}")
    if not found:
        if layout is None:
            _check_below(tree, top, where)
        return {"": tree.descend(top)}
    folders = {kind: names[0] for kind, names in found.items()}
    named = {folder for names in found.values() for folder in names}
    others = [folder for folder in tree.children(top) if folder not in named]
    if layout is None and others and not _evident(tree, folders):
        if not any(tree.children(folder) for folder in folders.values()):
            return {"": top}  # a class may be called "train", like "bus"
        _refuse(tree, folders, others, where)
    return _one_each(found, where)


def _candidates(tree: Tree, top: str) -> dict[str, list[str]]:
    """Folders that are named after splits; of those with further words two splits of the same words are needed."""
    named = {folder: split for folder in tree.children(top) if (split := split_of(last(folder)))}
    plain = _by_kind({folder: kind for folder, (kind, rest) in named.items() if not rest})
    if plain:
        return plain
    for rest in sorted({rest for _, rest in named.values()}):
        alike = _by_kind({folder: kind for folder, (kind, own) in named.items() if own == rest})
        if len(alike) > 1:
            return alike
    return {}


def _by_kind(kinds: Mapping[str, str]) -> dict[str, list[str]]:
    return {kind: own for kind in _KINDS if (own := sorted(folder for folder, its in kinds.items() if its == kind))}


def _one_each(found: Mapping[str, Sequence[str]], where: object) -> dict[str, str]:
    """The one folder of each split; of several test folders none is taken where there is a validation folder."""
    chosen = {}
    for kind, folders in found.items():
        if len(folders) == 1:
            chosen[kind] = folders[0]
        elif kind != "test" or "val" not in found:
            raise DataError(
                f"expected one folder of {kind} images in {where}, but got {_listed(folders)}; "
                "move one of them away, or take each as a class with --layout classes"
            )
    return chosen


def _evident(tree: Tree, folders: Mapping[str, str]) -> bool:
    """Tell whether splits are beyond doubt, whatever is beside them: two of them have classes in common.

    A flat folder of validation or test images beside a training folder with classes counts as well.
    """
    classes = {kind: set(tree.classes(folder)) for kind, folder in folders.items()}
    if len(classes.get("train", ())) > 1 and any(not own for own in classes.values()):
        return True
    kinds = list(classes)
    return any(classes[a] & classes[b] for i, a in enumerate(kinds) for b in kinds[i + 1 :])


def _refuse(tree: Tree, folders: Mapping[str, str], others: Sequence[str], where: object) -> None:
    """Raise DataError with both readings."""
    first = next(folder for folder in folders.values() if tree.children(folder))
    classes = _listed(last(folder) for folder in tree.children(tree.descend(first)))
    names = _listed(last(folder) for folder in sorted([*others, *folders.values()]))
    raise DataError(
        f"expected either splits or classes in {where}, but its folders can be read both ways: with --layout splits "
        f"{first!r} holds the classes {classes} and {_listed(last(folder) for folder in others)} "
        f"{'is' if len(others) == 1 else 'are'} left out; with --layout classes the classes are {names}"
    )


def _check_below(tree: Tree, top: str, where: object) -> None:
    """Raise DataError when a folder that would be a class holds splits."""
    for folder in tree.children(top):
        inside = _candidates(tree, folder)
        if len(inside) > 1:
            raise DataError(
                f"expected class folders in {where}, but {folder!r} holds "
                f"{_listed(last(name) for names in inside.values() for name in names)}: give a folder with train/CLASS "
                f"and val/CLASS in it, or take all images below {last(folder)!r} as one class with --layout classes"
            )


def _listed(names: Iterable[str]) -> str:
    """Some names in a sentence."""
    every = list(names)
    return ", ".join(every[:5]) + (f", ... ({len(every):,} in all)" if len(every) > 5 else "")
