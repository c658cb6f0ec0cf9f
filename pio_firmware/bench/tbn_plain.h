/* What the runtime is measured against: the same network in float32, loop in loop, every output computed by itself.
 *
 * With a tile, a weight is one bit of it, taken out where it is needed, times the row's alpha; without, it is a float. Images are
 * channels x height x width. The benchmark alone uses this; firmware does not. */
#ifndef TBN_PLAIN_H
#define TBN_PLAIN_H

#include "tbn_integer.h"

typedef struct {
    uint32_t rows, row_length, tile_length, groups;
    const uint8_t *tile;  /* NULL: floats */
    const float *weights; /* rows x row_length, or NULL */
    const float *alphas;  /* one a row; not used with floats */
    const float *bias;    /* one a row */
    int relu;
} tbn_plain_layer;

void tbn_plain_input(const uint8_t *input, uint32_t count, float zero, float *output);
void tbn_plain_fully_connected(const tbn_plain_layer *layer, const float *input, float *output);
void tbn_plain_conv2d(const tbn_plain_layer *layer, const tbn_window *window, const float *input, const tbn_image *input_shape, float *output,
                      const tbn_image *output_shape, float *patch);
void tbn_plain_max_pool(const tbn_window *window, const float *input, const tbn_image *input_shape, float *output,
                        const tbn_image *output_shape);
void tbn_plain_average_pool(const tbn_window *window, const float *input, const tbn_image *input_shape, float factor, float bias, float *output,
                            const tbn_image *output_shape);

#endif
