/* Any geometry. The R = rows / copies distinct rows are walked sign by sign; where a row leaves one tile and enters the next, the piece
 * that ends there is scaled by its tile's alpha into each of the copies, because the alphas of two tiles may differ. */
#include "tbn_layer.h"

tbn_status tbn_fully_connected_pieces(const tbn_tiled_layer *layer, const float *input, uint32_t input_count, float *output,
                                      uint32_t output_count)
{
    const tbn_status status = tbn_check_tiled(layer, input, input_count, output, output_count);
    if (status != TBN_OK) {
        return status;
    }
    const uint32_t distinct_rows = layer->rows / layer->copies;
    const uint32_t tiles_per_copy = layer->tiles / layer->copies;
    const uint32_t tile_length = layer->rows * layer->row_length / layer->tiles;
    uint32_t tile = 0;     /* of the first copy */
    uint32_t position = 0; /* in the tile */

    for (uint32_t row = 0; row < layer->rows; row++) {
        output[row] = 0.0f;
    }
    for (uint32_t row = 0; row < distinct_rows; row++) {
        uint32_t column = 0;
        while (column < layer->row_length) {
            const uint32_t left_in_row = layer->row_length - column;
            const uint32_t left_in_tile = tile_length - position;
            const uint32_t end = column + (left_in_row < left_in_tile ? left_in_row : left_in_tile);
            float sum = 0.0f;
            for (; column < end; column++, position++) {
                sum += tbn_signed(input[column], (uint32_t)TBN_READ_U8(&layer->tile[position >> 3]) >> (position & 7u));
            }
            for (uint32_t copy = 0; copy < layer->copies; copy++) {
                output[copy * distinct_rows + row] += tbn_alpha(layer, copy * tiles_per_copy + tile) * sum;
            }
            if (position == tile_length) {
                position = 0;
                tile++;
            }
        }
    }
    for (uint32_t row = 0; row < layer->rows; row++) {
        output[row] = tbn_finish(output[row], layer->bias, row, layer->activation);
    }
    return TBN_OK;
}
