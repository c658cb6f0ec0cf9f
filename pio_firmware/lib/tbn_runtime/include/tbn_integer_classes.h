/* What a classifier's int32 outputs mean: the class of the largest, and every class's share (softmax), without float. */
#ifndef TBN_INTEGER_CLASSES_H
#define TBN_INTEGER_CLASSES_H

#include "tbn_integer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An output that lies d below the largest weighs 2^(-t / 256) of it, t = ((d >> before) * factor) >> behind. From d = `beyond` on it weighs
 * nothing; (beyond >> before) * factor fits into 32 bits. */
typedef struct {
    uint32_t factor;
    uint32_t beyond;
    uint8_t before;
    uint8_t behind;
} tbn_integer_rate;

/* The place of the largest value, the first of several. `count` is at least 1. */
uint32_t tbn_integer_argmax(const int32_t *values, uint32_t count);

/* shares[i] of 65535, rounded down; at most 65535 values. */
tbn_status tbn_integer_softmax(const tbn_integer_rate *rate, const int32_t *values, uint32_t count, uint16_t *shares);

#ifdef __cplusplus
}
#endif
#endif
