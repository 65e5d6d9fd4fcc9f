/* Scores of all images of standard input, as the bytes of floats on standard output; `selftest` runs that instead. */
#include "model.h"

#include <stdio.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

int main(int count, char **words)
{
    static @NAME@_IMAGE image[@NAME@_ROWS * @NAME@_COLUMNS * @NAME@_CHANNELS];
    static float scores[@NAME@_CLASSES];
    (void)words;
    if (count > 1) {
        printf("%d", @name@_selftest());
        return 0;
    }
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
    _setmode(_fileno(stdout), _O_BINARY);
#endif
    while (fread(image, sizeof image, 1, stdin) == 1) {
        (void)@name@_predict(image, scores);
        if (fwrite(scores, sizeof scores, 1, stdout) != 1)
            return 1;
    }
    return 0;
}
