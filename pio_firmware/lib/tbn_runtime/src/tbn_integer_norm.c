#include "tbn_integer_vectors.h"

#include "tbn_integer_layer.h"

enum { TBN_LONGEST_NORM = 512 };

/* The largest r with r * r <= value, bit by bit. */
static uint32_t tbn_root(uint32_t value)
{
    uint32_t root = 0;
    for (uint32_t bit = (uint32_t)1 << 30; bit != 0; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

static void tbn_norm_vector(const tbn_integer_norm *norm, const uint8_t *input, uint8_t *output)
{
    uint32_t sum = 0;
    uint32_t squares = 0;
    for (uint32_t i = 0; i < norm->count; i++) {
        sum += input[i];
        squares += (uint32_t)input[i] * input[i];
    }
    uint32_t spread = norm->count * squares - sum * sum + norm->epsilon; /* fits, though its parts may wrap around */
    int32_t scale = 1;
    if (spread == 0) {
        spread = 1;
    }
    while (spread < (uint32_t)1 << 30) {
        spread <<= 2;
        scale *= 2;
    }
    const int32_t inverse = (int32_t)(((uint32_t)1 << 30) / tbn_root(spread));
    for (uint32_t i = 0; i < norm->count; i++) {
        const int32_t distance = (int32_t)(norm->count * input[i]) - (int32_t)sum;
        const int32_t value = (((distance * scale) >> 5) * inverse) >> 15;
        const int32_t total = value * TBN_READ_I16(&norm->multipliers[i]) + tbn_bias(norm->biases, i, norm->bias_shift);
        output[i] = tbn_clip(total >> norm->shift, norm->low, norm->high);
    }
}

tbn_status tbn_integer_layer_norm(const tbn_integer_norm *norm, const uint8_t *input, uint32_t positions, uint8_t *output)
{
    if (norm == NULL || input == NULL || output == NULL || norm->multipliers == NULL || norm->biases == NULL) {
        return TBN_ERROR_NULL;
    }
    if (norm->count == 0 || norm->count > TBN_LONGEST_NORM || norm->shift > 30 || norm->bias_shift > 30 || norm->low > norm->high) {
        return TBN_ERROR_SHAPE;
    }
    for (uint32_t i = 0; i < positions; i++) {
        tbn_norm_vector(norm, input, output);
        input += norm->count;
        output += norm->count;
    }
    return TBN_OK;
}
