"""Error and correlation, compared with NumPy's functions."""

import numpy as np

from binnet.lab.trace import fit


def test_against_numpy(rng):
    a, b = rng.standard_normal((2, 6, 5, 3)).astype(np.float32)
    found = fit(a, b)
    assert np.isclose(found.error, np.linalg.norm(a - b) / np.linalg.norm(b))
    assert np.isclose(found.correlation, np.corrcoef(a.ravel(), b.ravel())[0, 1])
    for o in range(3):
        assert np.isclose(found.errors[o], np.linalg.norm(a[..., o] - b[..., o]) / np.linalg.norm(b[..., o]))
        assert np.isclose(found.correlations[o], np.corrcoef(a[..., o].ravel(), b[..., o].ravel())[0, 1])


def test_constant_maps_have_no_correlation(rng):
    a = rng.standard_normal((4, 4, 2)).astype(np.float32)
    b = a.copy()
    b[..., 1] = 0
    found = fit(b, a)
    assert found.errors[0] == 0
    assert np.isnan(found.correlations[1])
    assert np.isnan(fit(a, b).errors[1])
    assert np.isnan(fit(a[:1, :1, :1], b[:1, :1, :1]).correlation)
