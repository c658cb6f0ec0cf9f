#include "tbn_runtime.h"

tbn_status tbn_fold_inputs(float *values, uint32_t count, uint32_t copies, const float *alphas)
{
    if (values == NULL) {
        return TBN_ERROR_NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        const float *value = &values[i];
        float sum = 0.0f;
        for (uint32_t copy = 0; copy < copies; copy++, value += count) {
            sum += alphas == NULL ? *value : TBN_READ_F32(&alphas[copy]) * *value;
        }
        values[i] = sum;
    }
    return TBN_OK;
}
