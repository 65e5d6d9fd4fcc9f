/* The header of an exported program. */
#ifndef UPPER_H
#define UPPER_H

#include <stdint.h>

#define UPPER_ROWS @ROWS@
#define UPPER_COLUMNS @COLUMNS@
#define UPPER_CHANNELS @CHANNELS@
#define UPPER_CLASSES @CLASSES@
#define UPPER_IMAGE @TYPE@ /* of a value of an image */
#define UPPER_ARENA @ARENA@ /* bytes that are written while it runs */

/* Define it, such as as __attribute__((section(".ccm"))), to place the arena. */
#ifndef UPPER_ARENA_ATTRIBUTE
#define UPPER_ARENA_ATTRIBUTE
#endif

#ifdef __cplusplus
extern "C" {
#endif

extern const char *const @NAME@_class_names[];

/* The scores of the classes for an image (rows, columns, channels), and as the result the best class. One call at a time. */
int @NAME@_predict(const @TYPE@ *@IMAGE@, float *scores);

/* 0 when the scores of an image are as they should be. */
int @NAME@_selftest(void);

#ifdef __cplusplus
}
#endif

#endif
