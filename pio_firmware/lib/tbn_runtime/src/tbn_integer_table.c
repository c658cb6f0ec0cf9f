#include "tbn_integer_layer.h"

tbn_status tbn_integer_table(const uint8_t *table, const uint8_t *input, uint8_t *output, uint32_t count)
{
    if (table == NULL || input == NULL || output == NULL) {
        return TBN_ERROR_NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        output[i] = TBN_READ_U8(&table[input[i]]);
    }
    return TBN_OK;
}
