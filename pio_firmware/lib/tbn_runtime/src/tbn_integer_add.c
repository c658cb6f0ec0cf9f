#include "tbn_integer_layer.h"

tbn_status tbn_integer_add(const tbn_integer_sum *sum, const uint8_t *input, const uint8_t *other, uint8_t *output, uint32_t count)
{
    if (sum == NULL || input == NULL || other == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    if (sum->shift > 30 || sum->low > sum->high) {
        return TBN_ERROR_SHAPE;
    }
    for (uint32_t i = 0; i < count; i++) {
        const int32_t value = (int32_t)input[i] * sum->multiplier + (int32_t)other[i] * sum->other_multiplier + sum->bias;
        output[i] = tbn_clip(value >> sum->shift, sum->low, sum->high);
    }
    return TBN_OK;
}
