#ifndef BINNET_@name@_H
#define BINNET_@name@_H

#include <stdint.h>

#define @NAME@_ROWS @ROWS@
#define @NAME@_COLUMNS @COLUMNS@
#define @NAME@_CHANNELS @CHANNELS@
#define @NAME@_CLASSES @CLASSES@
#define @NAME@_IMAGE @TYPE@ /* of a value of an image */
#define @NAME@_ARENA @ARENA@ /* bytes that are written while it runs */

/* Define it, such as __attribute__((section(".ccm"))), to place the arena. */
#ifndef @NAME@_ARENA_ATTRIBUTE
#define @NAME@_ARENA_ATTRIBUTE
#endif

#ifdef __cplusplus
extern "C" {
#endif

extern const char *const @name@_class_names[];

/* The scores of the classes for an image (rows, columns, channels), and as the result the best class. One call at a time. */
int @name@_predict(const @TYPE@ *@IMAGE@, float *scores);

/* The number of scores of two images that are not as they should be. The images, of random numbers, take memory on the stack. */
int @name@_selftest(void);

#ifdef __cplusplus
}
#endif

#endif
