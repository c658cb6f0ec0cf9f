/* Integer operations on many vectors: what mixers and point networks need beside tbn_integer.h, in the same arithmetic. */
#ifndef TBN_INTEGER_VECTORS_H
#define TBN_INTEGER_VECTORS_H

#include "tbn_integer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* LayerNorm over vectors of `count` codes. With S the sum of a vector's codes and 32-bit numbers throughout:
 *
 *     d = count * code - S
 *     u = count * (sum of code * code) - S * S + epsilon, at least 1, shifted left by 2 * k until it is 2^30 or more
 *     v = (((d * 2^k) >> 5) * (2^30 / root(u))) >> 15                                          in steps of 1/1024
 *     clip((v * multipliers[i] + (biases[i] << bias_shift)) >> shift, low, high)
 *
 * `count` is at most 512, or u would not fit. */
typedef struct {
    uint32_t count;
    uint32_t epsilon;
    const int16_t *multipliers; /* count, in flash */
    const int16_t *biases;      /* count, in flash */
    uint8_t bias_shift, shift, low, high;
} tbn_integer_norm;

/* Codes of shape outer x rows x columns x inner become outer x columns x rows x inner. */
typedef struct {
    uint32_t outer, rows, columns, inner;
} tbn_axes;

/* (rows x inner) by (inner x columns): clip(((sum of (a - zero) * (b - other_zero) >> sum_shift) * multiplier + bias) >> shift, low, high) */
typedef struct {
    uint32_t rows, inner, columns;
    int32_t multiplier;
    int32_t bias;
    uint8_t zero, other_zero, sum_shift, shift, low, high;
} tbn_integer_product;

/* The layer on each of `positions` vectors of layer->row_length codes. In place where the outputs are no longer than the inputs. */
tbn_status tbn_integer_rows(const tbn_integer_layer *layer, const uint8_t *input, uint32_t positions, uint8_t *output,
                            const tbn_integer_scratch *scratch);

/* A convolution of one pixel, of which only the largest output of each channel is kept; image: layer->row_length channels. Positions are taken
 * TBN_INTEGER_STRIP at a time: the scratch's patch holds as many row_length + rows bytes, and row_length more. Not in place. */
enum { TBN_INTEGER_STRIP = 8 };
tbn_status tbn_integer_largest(const tbn_integer_layer *layer, const uint8_t *input, const tbn_image *input_shape, uint8_t *output,
                               uint32_t output_count, const tbn_integer_scratch *scratch);

/* May be in place. */
tbn_status tbn_integer_layer_norm(const tbn_integer_norm *norm, const uint8_t *input, uint32_t positions, uint8_t *output);

/* Not in place. */
tbn_status tbn_integer_swap(const tbn_axes *axes, const uint8_t *input, uint8_t *output);

/* Not in place. */
tbn_status tbn_integer_matrix_product(const tbn_integer_product *product, const uint8_t *left, const uint8_t *right, uint8_t *output);

#ifdef __cplusplus
}
#endif
#endif
