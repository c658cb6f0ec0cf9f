#include "tbn_integer_vectors.h"

#include "tbn_integer_layer.h"

tbn_status tbn_integer_matrix_product(const tbn_integer_product *product, const uint8_t *left, const uint8_t *right, uint8_t *output)
{
    if (product == NULL || left == NULL || right == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    if (product->sum_shift > 30 || product->shift > 30 || product->low > product->high) {
        return TBN_ERROR_SHAPE;
    }
    for (uint32_t row = 0; row < product->rows; row++, left += product->inner) {
        for (uint32_t column = 0; column < product->columns; column++) {
            const uint8_t *other = &right[column];
            int32_t sum = 0;
            for (uint32_t i = 0; i < product->inner; i++, other += product->columns) {
                sum += ((int32_t)left[i] - product->zero) * ((int32_t)*other - product->other_zero);
            }
            const int32_t value = (sum >> product->sum_shift) * product->multiplier + product->bias;
            *output++ = tbn_clip(value >> product->shift, product->low, product->high);
        }
    }
    return TBN_OK;
}
