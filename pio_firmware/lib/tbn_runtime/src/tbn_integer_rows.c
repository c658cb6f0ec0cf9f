#include "tbn_integer_vectors.h"

tbn_status tbn_integer_rows(const tbn_integer_layer *layer, const uint8_t *input, uint32_t positions, uint8_t *output,
                            const tbn_integer_scratch *scratch)
{
    if (layer == NULL || input == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    tbn_status status = TBN_OK;
    for (uint32_t i = 0; i < positions && status == TBN_OK; i++) {
        status = tbn_integer_fully_connected(layer, input, layer->row_length, output, layer->rows, scratch);
        input += layer->row_length;
        output += layer->rows;
    }
    return status;
}
