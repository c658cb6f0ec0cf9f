/* All sums are there before the first output is written, so a layer may write over its input. */
#include "tbn_integer_layer.h"

static tbn_status tbn_check_vectors(const tbn_integer_layer *layer, const uint8_t *input, uint32_t input_count, const void *output,
                                    uint32_t output_count, const tbn_integer_scratch *scratch)
{
    const tbn_status status = tbn_integer_check(layer, scratch);
    if (status != TBN_OK) {
        return status;
    }
    if (input == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    if (layer->groups != 1) {
        return TBN_ERROR_SHAPE;
    }
    return input_count < layer->row_length || output_count < layer->rows ? TBN_ERROR_BUFFER : TBN_OK;
}

tbn_status tbn_integer_fully_connected(const tbn_integer_layer *layer, const uint8_t *input, uint32_t input_count, uint8_t *output,
                                       uint32_t output_count, const tbn_integer_scratch *scratch)
{
    const tbn_status status = tbn_check_vectors(layer, input, input_count, output, output_count, scratch);
    if (status == TBN_OK) {
        tbn_integer_sums(layer, input, scratch);
        tbn_integer_finish(layer, scratch->sums, output, NULL, 1);
    }
    return status;
}

tbn_status tbn_integer_outputs(const tbn_integer_layer *layer, const uint8_t *input, uint32_t input_count, int32_t *output,
                               uint32_t output_count, const tbn_integer_scratch *scratch)
{
    const tbn_status status = tbn_check_vectors(layer, input, input_count, output, output_count, scratch);
    if (status == TBN_OK) {
        tbn_integer_sums(layer, input, scratch);
        tbn_integer_finish(layer, scratch->sums, NULL, output, 1);
    }
    return status;
}
