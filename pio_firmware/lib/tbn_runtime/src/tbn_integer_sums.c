/* Sums of the distinct rows, in one of these ways with the same answer:
 * - whole rows of signs: with instructions that take four bytes (tbn_integer_planes.c) where the processor has them, else with a table of
 *   sums (tbn_integer_table_sums.c);
 * - rows that are cut at tile borders: sign by sign;
 * - int8 weights. */
#include "tbn_integer_layer.h"

/* Rows of the same inputs that pay for the block's making. */
enum { TBN_FAST_ROWS = TBN_FOUR_BYTES ? 1 : 2 };

tbn_status tbn_integer_check(const tbn_integer_layer *layer, const tbn_integer_scratch *scratch)
{
    if (layer == NULL || scratch == NULL || scratch->sums == NULL || layer->multipliers == NULL || layer->biases == NULL ||
        (layer->tile == NULL) == (layer->weights == NULL)) {
        return TBN_ERROR_NULL;
    }
    if (layer->rows == 0 || layer->row_length == 0 || layer->distinct_rows == 0 || layer->groups == 0 || layer->tile_length == 0 ||
        layer->rows > UINT32_MAX / layer->row_length || layer->rows % layer->distinct_rows != 0 ||
        layer->rows * layer->row_length % layer->tile_length != 0 || layer->distinct_rows % layer->groups != 0 ||
        layer->sums < layer->distinct_rows || (layer->bias_count != 1 && layer->bias_count != layer->rows) || layer->sum_shift > 30 ||
        layer->bias_shift > 30 || layer->shift > 30 || layer->low > layer->high) {
        return TBN_ERROR_SHAPE;
    }
    const uint32_t tiles = layer->rows * layer->row_length / layer->tile_length;
    const uint32_t copies = layer->rows / layer->distinct_rows;
    const uint32_t borders = tiles / copies - 1; /* inside a copy; each cuts off one piece at most */
    if (tiles % copies != 0 || layer->sums - layer->distinct_rows > borders || (layer->tile == NULL && (tiles != 1 || copies != 1)) ||
        (layer->multiplier_count != 1 && layer->multiplier_count != tiles && layer->multiplier_count != copies * layer->sums)) {
        return TBN_ERROR_SHAPE;
    }
    return scratch->sum_count < layer->sums ? TBN_ERROR_BUFFER : TBN_OK;
}

static void tbn_sums_by_sign(const tbn_integer_layer *layer, const uint8_t *input, int32_t *sums)
{
    const uint32_t rows_of_group = layer->distinct_rows / layer->groups;
    const int cut = layer->sums != layer->distinct_rows;
    uint32_t position = 0; /* in the tile */
    uint32_t in_group = 0;
    for (uint32_t row = 0; row < layer->distinct_rows; row++) {
        int32_t sum = 0;
        uint32_t column = 0;
        while (column < layer->row_length) {
            const uint32_t left_in_row = layer->row_length - column;
            const uint32_t left_in_tile = layer->tile_length - position;
            const uint32_t count = left_in_row < left_in_tile ? left_in_row : left_in_tile;
            sum += tbn_signed_sum(layer->tile, position, &input[column], count, layer->zero);
            column += count;
            position = position + count == layer->tile_length ? 0 : position + count;
            if (cut) {
                *sums++ = sum;
                sum = 0;
            }
        }
        if (!cut) {
            *sums++ = sum;
        }
        if (++in_group == rows_of_group) {
            in_group = 0;
            input += layer->row_length;
        }
    }
}

#if TBN_FOUR_BYTES
/* Bytes 0 and 2 of a word as two halves, less twice `zero`; and as signed numbers. */
static inline uint32_t tbn_codes(uint32_t word, uint32_t zeros)
{
    uint32_t found;
    __asm__("uxtb16 %0, %1\n\tssub16 %0, %0, %2" : "=&r"(found) : "r"(word), "r"(zeros) : "cc");
    return found;
}

static inline int32_t tbn_multiply(uint32_t weights, uint32_t codes, int32_t sum)
{
    uint32_t halves;
    __asm__("sxtb16 %1, %2\n\tsmlad %0, %1, %3, %0" : "+r"(sum), "=&r"(halves) : "r"(weights), "r"(codes) : "cc");
    return sum;
}
#endif

/* Two rows share the reading of the codes. */
static TBN_ALONE void tbn_two_sums_by_weight(const int8_t *one, const int8_t *two, const uint8_t *codes, uint32_t count, int32_t zero,
                                             int32_t *sums)
{
    int32_t first = 0, second = 0;
#if TBN_FOUR_BYTES
    for (; count >= 4; count -= 4, one += 4, two += 4, codes += 4) {
        const uint32_t word = ((const tbn_loose_word *)codes)->value, zeros = (uint32_t)zero * 0x10001u;
        const uint32_t even = tbn_codes(word, zeros), odd = tbn_codes(word >> 8, zeros);
        const uint32_t a = ((const tbn_loose_word *)one)->value, b = ((const tbn_loose_word *)two)->value;
        first = tbn_multiply(a >> 8, odd, tbn_multiply(a, even, first));
        second = tbn_multiply(b >> 8, odd, tbn_multiply(b, even, second));
    }
#endif
    for (; count != 0; count--, one++, two++, codes++) {
        const int32_t code = (int32_t)*codes - zero;
        first += code * TBN_READ_I8(one);
        second += code * TBN_READ_I8(two);
    }
    sums[0] = first;
    sums[1] = second;
}

static void tbn_sums_by_weight(const tbn_integer_layer *layer, const uint8_t *input, int32_t *sums)
{
    const uint32_t rows = layer->distinct_rows / layer->groups, length = layer->row_length;
    const int8_t *weights = layer->weights;
    for (uint32_t group = 0; group < layer->groups; group++, input += length) {
        for (uint32_t row = 0; row < rows; row += 2) {
            const uint32_t here = rows - row < 2 ? 1 : 2;
            int32_t both[2]; /* a last single row is its own partner */
            tbn_two_sums_by_weight(weights, weights + (here - 1) * length, input, length, layer->zero, both);
            for (uint32_t i = 0; i < here; i++, weights += length) {
                *sums++ = both[i];
            }
        }
    }
}

void tbn_integer_sums(const tbn_integer_layer *layer, const uint8_t *input, const tbn_integer_scratch *scratch)
{
    const uint32_t rows = layer->distinct_rows / layer->groups;
    if (layer->tile == NULL) {
        tbn_sums_by_weight(layer, input, scratch->sums);
    } else if (scratch->block == NULL || layer->tile_length != layer->distinct_rows * layer->row_length || rows < TBN_FAST_ROWS) {
        tbn_sums_by_sign(layer, input, scratch->sums);
    } else {
        for (uint32_t group = 0; group < layer->groups; group++, input += layer->row_length) {
            const uint32_t position = group * rows * layer->row_length;
            int32_t *sums = &scratch->sums[group * rows];
#if TBN_FOUR_BYTES
            tbn_integer_plane_sums(layer, position, rows, input, scratch->block, sums);
#else
            tbn_integer_table_sums(layer, position, rows, input, scratch->block, sums);
#endif
        }
    }
}
