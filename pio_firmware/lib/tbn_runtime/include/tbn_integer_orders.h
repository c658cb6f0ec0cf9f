/* Integer layers whose tiles do not lie row after row, beside tbn_integer.h and in the same arithmetic.
 *
 * Equal rows side by side (roll 0): with g = rows / distinct_rows copies, output r * g + k has the signs of row r. Multipliers and biases lie
 * copy after copy, as in the other layers; a layer has one group.
 *
 * Rolled (roll > 0): all rows are distinct, and tile i is rolled by i * roll signs: with q = tile_length its sign j is sign (j - i * roll) mod q
 * of the tile. Behind the tile's q bits its first ones are stored again, one less than a row has (or than q), so that no row is broken.
 *
 * Where inputs instead of rows meet equal signs, they are added up first (tbn_integer_fold), and an ordinary layer takes the sums. */
#ifndef TBN_INTEGER_ORDERS_H
#define TBN_INTEGER_ORDERS_H

#include "tbn_integer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* outer x copies x inner codes become outer x inner: clip((sum over copies of (code - zero) * multipliers[copy] + bias) >> shift, low, high) */
typedef struct {
    uint32_t outer, copies, inner;
    int32_t bias;
    const int16_t *multipliers; /* in flash */
    uint8_t zero, shift, low, high;
} tbn_integer_folding;

/* As tbn_integer_fully_connected, of `positions` vectors. In place where there is one, or outputs are no longer than inputs. */
tbn_status tbn_integer_ordered_rows(const tbn_integer_layer *layer, uint32_t roll, const uint8_t *input, uint32_t positions, uint8_t *output,
                                    const tbn_integer_scratch *scratch);

/* As tbn_integer_outputs. */
tbn_status tbn_integer_ordered_outputs(const tbn_integer_layer *layer, uint32_t roll, const uint8_t *input, int32_t *output,
                                       uint32_t output_count, const tbn_integer_scratch *scratch);

/* As tbn_integer_conv2d. */
tbn_status tbn_integer_ordered_conv2d(const tbn_integer_layer *layer, uint32_t roll, const tbn_window *window, const uint8_t *input,
                                      const tbn_image *input_shape, uint8_t *output, const tbn_image *output_shape,
                                      const tbn_integer_scratch *scratch);

/* May be in place. */
tbn_status tbn_integer_fold(const tbn_integer_folding *folding, const uint8_t *input, uint8_t *output);

#ifdef __cplusplus
}
#endif
#endif
