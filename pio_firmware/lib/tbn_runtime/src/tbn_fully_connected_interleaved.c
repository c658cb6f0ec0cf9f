/* The distinct rows as a layer of their own, whose sums then move apart. */
#include "tbn_layer.h"

tbn_status tbn_fully_connected_interleaved(const tbn_tiled_layer *layer, const float *input, uint32_t input_count, float *output,
                                           uint32_t output_count, float *table, uint32_t table_count)
{
    static const float one[1] TBN_FLASH = {1.0f};
    tbn_status status = tbn_check_tiled(layer, input, input_count, output, output_count);
    if (status != TBN_OK) {
        return status;
    }
    if (layer->copies != layer->tiles) {
        return TBN_ERROR_SHAPE;
    }
    const tbn_tiled_layer distinct = {
        layer->rows / layer->copies, layer->row_length, 1, 1, 1, TBN_NO_ACTIVATION, layer->tile, one, NULL,
    };
    status = tbn_fully_connected_tiled(&distinct, input, input_count, output, output_count, table, table_count);
    if (status != TBN_OK) {
        return status;
    }
    for (uint32_t row = distinct.rows, target = layer->rows; row-- > 0;) { /* from the last on: nothing is written over a sum to come */
        const float sum = output[row];
        for (uint32_t copy = layer->copies; copy-- > 0;) {
            target--;
            output[target] = tbn_finish(tbn_alpha(layer, copy) * sum, layer->bias, target, layer->activation);
        }
    }
    return TBN_OK;
}
