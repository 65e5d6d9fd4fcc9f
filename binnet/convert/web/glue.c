/* What a page calls, and the two functions of the C library that compilers use on their own. */
#include "model.h"

#include <stddef.h>

static uint8_t pixels_of_image[@NAME@_ROWS * @NAME@_COLUMNS * @NAME@_CHANNELS];
static float scores_of_image[@NAME@_CLASSES];

__attribute__((export_name("pixels"))) uint8_t *pixels(void) { return pixels_of_image; }
__attribute__((export_name("scores"))) float *scores(void) { return scores_of_image; }
__attribute__((export_name("run"))) int run(void) { return @name@_predict(pixels_of_image, scores_of_image); }
__attribute__((export_name("selftest"))) int selftest(void) { return @name@_selftest(); }

void *memset(void *to, int value, size_t size)
{
    volatile unsigned char *bytes = (volatile unsigned char *)to; /* else the loop becomes a call of memset */
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)value;
    return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
    volatile unsigned char *bytes = (volatile unsigned char *)to;
    for (size_t i = 0; i < size; i++)
        bytes[i] = ((const unsigned char *)from)[i];
    return to;
}
