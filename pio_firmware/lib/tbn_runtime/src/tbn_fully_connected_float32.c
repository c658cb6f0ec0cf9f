#include "tbn_layer.h"

tbn_status tbn_fully_connected_float32(const tbn_float32_layer *layer, const float *input, uint32_t input_count, float *output,
                                       uint32_t output_count)
{
    if (layer == NULL || input == NULL || output == NULL || layer->weight == NULL) {
        return TBN_ERROR_NULL;
    }
    if (layer->rows == 0 || layer->row_length == 0) {
        return TBN_ERROR_SHAPE;
    }
    if (input_count < layer->row_length || output_count < layer->rows) {
        return TBN_ERROR_BUFFER;
    }
    const float *weight = layer->weight;
    for (uint32_t row = 0; row < layer->rows; row++) {
        float sum = 0.0f;
        for (uint32_t column = 0; column < layer->row_length; column++) {
            sum += TBN_READ_F32(weight) * input[column];
            weight++;
        }
        output[row] = tbn_finish(sum, layer->bias, row, layer->activation);
    }
    return TBN_OK;
}
