#include "tbn_integer_classes.h"

#include "tbn_integer_layer.h"

/* round(65535 * 2^(-i / 16)) - 32768 */
static const int16_t tbn_powers[17] TBN_FLASH = {
    32767, 29989, 27328, 24780, 22340, 20004, 17766, 15624, 13572, 11608, 9726, 7925, 6199, 4547, 2965, 1450, 0,
};

uint32_t tbn_integer_argmax(const int32_t *values, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (values[i] > values[best]) {
            best = i;
        }
    }
    return best;
}

/* 65535 * 2^(-t / 256), between two powers along a line. */
static uint32_t tbn_weight(const tbn_integer_rate *rate, uint32_t below)
{
    if (below >= rate->beyond) {
        return 0;
    }
    const uint32_t t = ((below >> rate->before) * rate->factor) >> rate->behind;
    const uint32_t place = (t & 255u) >> 4;
    const uint32_t high = (uint32_t)(32768 + (int32_t)TBN_READ_I16(&tbn_powers[place]));
    const uint32_t low = (uint32_t)(32768 + (int32_t)TBN_READ_I16(&tbn_powers[place + 1]));
    return t >= 17u * 256u ? 0 : (high - (((high - low) * (t & 15u)) >> 4)) >> (t >> 8);
}

tbn_status tbn_integer_softmax(const tbn_integer_rate *rate, const int32_t *values, uint32_t count, uint16_t *shares)
{
    if (rate == NULL || values == NULL || shares == NULL) {
        return TBN_ERROR_NULL;
    }
    if (count == 0 || count > 65535u || rate->before > 31 || rate->behind > 31) {
        return TBN_ERROR_SHAPE;
    }
    const uint32_t largest = (uint32_t)values[tbn_integer_argmax(values, count)];
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += tbn_weight(rate, largest - (uint32_t)values[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        shares[i] = (uint16_t)(tbn_weight(rate, largest - (uint32_t)values[i]) * 65535u / sum);
    }
    return TBN_OK;
}
