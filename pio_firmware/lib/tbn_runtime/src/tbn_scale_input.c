#include "tbn_runtime.h"

tbn_status tbn_scale_input(const uint8_t *input, uint32_t count, float scale, float offset, float *output, uint32_t output_count)
{
    if (input == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    if (output_count < count) {
        return TBN_ERROR_BUFFER;
    }
    for (uint32_t i = 0; i < count; i++) {
        output[i] = (float)input[i] * scale + offset;
    }
    return TBN_OK;
}
