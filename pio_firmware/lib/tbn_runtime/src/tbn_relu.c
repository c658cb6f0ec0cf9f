#include "tbn_runtime.h"

tbn_status tbn_relu(float *values, uint32_t count)
{
    if (values == NULL) {
        return TBN_ERROR_NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (values[i] < 0.0f) {
            values[i] = 0.0f;
        }
    }
    return TBN_OK;
}
