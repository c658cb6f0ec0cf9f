/* As tbn_fully_connected_pieces.c, but copies lie side by side, or each tile begins `roll` signs further back in the stored one. */
#include "tbn_layer.h"

tbn_status tbn_fully_connected_ordered(const tbn_tiled_layer *layer, uint32_t roll, const float *input, uint32_t input_count, float *output,
                                       uint32_t output_count)
{
    const tbn_status status = tbn_check_tiled(layer, input, input_count, output, output_count);
    if (status != TBN_OK) {
        return status;
    }
    if (roll != 0 && layer->copies != 1) {
        return TBN_ERROR_SHAPE;
    }
    const uint32_t copies = layer->copies, distinct_rows = layer->rows / copies, tiles_per_copy = layer->tiles / copies;
    const uint32_t tile_length = layer->rows * layer->row_length / layer->tiles;
    uint32_t tile = 0;                                    /* of the first copy */
    uint32_t start = 0, position = 0, left = tile_length; /* in the stored tile: where this one begins, the next sign; signs to come */

    for (uint32_t row = 0; row < layer->rows; row++) {
        output[row] = 0.0f;
    }
    for (uint32_t row = 0; row < distinct_rows; row++) {
        uint32_t column = 0;
        while (column < layer->row_length) {
            const uint32_t end = layer->row_length - column < left ? layer->row_length : column + left;
            float sum = 0.0f;
            left -= end - column;
            for (; column < end; column++) {
                sum += tbn_signed(input[column], (uint32_t)TBN_READ_U8(&layer->tile[position >> 3]) >> (position & 7u));
                position = position + 1 == tile_length ? 0 : position + 1;
            }
            for (uint32_t copy = 0; copy < copies; copy++) {
                output[row * copies + copy] += tbn_alpha(layer, copy * tiles_per_copy + tile) * sum;
            }
            if (left == 0) {
                position = start = (start + tile_length - roll % tile_length) % tile_length;
                left = tile_length;
                tile++;
            }
        }
    }
    for (uint32_t row = 0; row < layer->rows; row++) {
        output[row] = tbn_finish(output[row], layer->bias, row, layer->activation);
    }
    return TBN_OK;
}
