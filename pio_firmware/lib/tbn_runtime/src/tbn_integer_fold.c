#include "tbn_integer_layer.h"
#include "tbn_integer_orders.h"

tbn_status tbn_integer_fold(const tbn_integer_folding *folding, const uint8_t *input, uint8_t *output)
{
    if (folding == NULL || input == NULL || output == NULL || folding->multipliers == NULL) {
        return TBN_ERROR_NULL;
    }
    if (folding->copies == 0 || folding->shift > 30 || folding->low > folding->high) {
        return TBN_ERROR_SHAPE;
    }
    const uint32_t inner = folding->inner;
    for (uint32_t block = 0; block < folding->outer; block++, input += folding->copies * inner) {
        for (uint32_t i = 0; i < inner; i++) {
            const uint8_t *code = &input[i];
            int32_t value = folding->bias;
            for (uint32_t copy = 0; copy < folding->copies; copy++, code += inner) {
                value += ((int32_t)*code - folding->zero) * TBN_READ_I16(&folding->multipliers[copy]);
            }
            *output++ = tbn_clip(value >> folding->shift, folding->low, folding->high);
        }
    }
    return TBN_OK;
}
