#include "tbn_integer_vectors.h"

tbn_status tbn_integer_swap(const tbn_axes *axes, const uint8_t *input, uint8_t *output)
{
    if (axes == NULL || input == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    for (uint32_t block = 0; block < axes->outer; block++, input += axes->rows * axes->columns * axes->inner) {
        for (uint32_t column = 0; column < axes->columns; column++) {
            for (uint32_t row = 0; row < axes->rows; row++) {
                const uint8_t *from = &input[(row * axes->columns + column) * axes->inner];
                for (uint32_t i = 0; i < axes->inner; i++) {
                    *output++ = from[i];
                }
            }
        }
    }
    return TBN_OK;
}
