/* Sums of whole rows with a table, for processors that take one number at a time.
 *
 * Four inputs have 16 sums of code where the sign is + and zero point where it is -. They are computed once and then serve all rows: a row
 * adds table[its 4 signs] in place of 4 numbers. The sums are of unsigned numbers, and
 *
 *     sum of sign * (code - zero) = 2 * (sum of selected - zero) - sum of (code - zero).
 *
 * The block holds the tables of 64 inputs. Beyond the last input stand zero points, whose signs do not matter. */
#include "tbn_integer_layer.h"

enum { TBN_SUMS = 16, TBN_TABLED = TBN_INTEGER_BLOCK_BYTES / 2 / TBN_SUMS * 4 };

/* Two sums side by side in a word: of signs 2 * k and 2 * k + 1. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
enum { TBN_EVEN = 16, TBN_ODD = 0 };
#else
enum { TBN_EVEN = 0, TBN_ODD = 16 };
#endif

#if !TBN_THUMB1
/* Four codes' 16 sums, two a word: sums[s] = (s & 1 ? x0 : zero) + (s & 2 ? x1 : zero) + (s & 4 ? x2 : zero) + (s & 8 ? x3 : zero).
 * `none` is the pair of x0 = 0, `less` is minus zero in both halves; no half ever leaves 0 .. 4 * 255. Returns the last word. */
static inline uint32_t tbn_sums_of_4(const uint8_t *codes, uint32_t none, uint32_t less, uint32_t *words)
{
    const uint32_t w0 = none + ((uint32_t)codes[0] << TBN_ODD);
    const uint32_t second = codes[1] + ((uint32_t)codes[1] << 16) + less, w1 = w0 + second;
    const uint32_t third = codes[2] + ((uint32_t)codes[2] << 16) + less, w2 = w0 + third, w3 = w1 + third;
    const uint32_t fourth = codes[3] + ((uint32_t)codes[3] << 16) + less;
    words[0] = w0;
    words[1] = w1;
    words[2] = w2;
    words[3] = w3;
    words[4] = w0 + fourth;
    words[5] = w1 + fourth;
    words[6] = w2 + fourth;
    words[7] = w3 + fourth;
    return w3 + fourth;
}
#endif

/* Tables of `groups` times four codes; returns the codes' sum: the half of signs 15 is the sum of four, and 16 of them fit into it. */
static uint32_t tbn_fill(const uint8_t *codes, uint32_t groups, uint32_t zero, uint32_t *words)
{
    const uint32_t less = 0u - zero * 0x10001u, none = (4 * zero << TBN_EVEN) + (3 * zero << TBN_ODD);
#if TBN_THUMB1
    return tbn_thumb1_fill(codes, groups, none, less, words) >> 16;
#else
    uint32_t total = 0;
    for (; groups != 0; groups--, codes += 4, words += TBN_SUMS / 2) {
        total += tbn_sums_of_4(codes, none, less, words);
    }
    return total >> TBN_ODD & 0xffffu;
#endif
}

/* Adds to the sums of `rows` rows what their 1 to 8 `bytes` of signs select of the tables; a row lies `row_bytes` behind the other. */
static void tbn_add_rows(const uint8_t *signs, uint32_t row_bytes, uint32_t rows, uint32_t bytes, const uint16_t *table, int32_t *sums)
{
#if TBN_THUMB1
    if (rows > 1) {
        tbn_thumb1_rows(signs, signs + row_bytes, 2 * row_bytes, bytes, table, sums, sums + (rows & ~1u));
    }
    if (rows & 1u) {
        int32_t pair[2] = {0, 0}; /* the last row is its own partner */
        signs += (rows - 1) * row_bytes;
        tbn_thumb1_rows(signs, signs, 0, bytes, table, pair, pair + 2);
        sums[rows - 1] += pair[0];
    }
#else
    for (; rows != 0; rows--, signs += row_bytes, sums++) {
        const uint16_t *of_four = table;
        uint32_t sum = 0;
        for (uint32_t i = 0; i < bytes; i++, of_four += 2 * TBN_SUMS) {
            sum += (uint32_t)of_four[signs[i] & 15u] + of_four[TBN_SUMS + (signs[i] >> 4)];
        }
        *sums += (int32_t)sum;
    }
#endif
}

/* `bytes` bytes of signs from any bit of the tile on, `last` of them in the last byte. */
static void tbn_copy_signs(const uint8_t *tile, uint32_t position, uint32_t bytes, uint32_t last, uint8_t *signs)
{
    const uint32_t bit = position % 8;
    tile += position / 8;
    uint32_t found = TBN_READ_U8(tile);
    while (--bytes != 0) {
        tile++;
        const uint32_t next = TBN_READ_U8(tile);
        *signs++ = (uint8_t)((found | next << 8) >> bit);
        found = next;
    }
    if (bit + last > 8) {
        found |= (uint32_t)TBN_READ_U8(tile + 1) << 8;
    }
    *signs = (uint8_t)(found >> bit);
}

/* Adds for each row what is selected of `count` <= 64 inputs; `position` is where the first row's signs of them are. Returns the sum of the
 * codes and of as many zero points. */
static uint32_t tbn_block_sums(const tbn_integer_layer *layer, uint32_t position, uint32_t rows, const uint8_t *codes, uint32_t count,
                               tbn_integer_block *block, int32_t *sums)
{
    const uint32_t bytes = (count + 7) / 8, last = count - 8 * (bytes - 1), row_length = layer->row_length;
    uint32_t total = bytes * 8 * layer->zero;
    if (count >= 8) {
        total += tbn_fill(codes, count / 8 * 2, layer->zero, block->words);
    }
    if (last != 8) {
        uint8_t padded[8];
        for (uint32_t i = 0; i < 8; i++) {
            padded[i] = i < last ? codes[8 * (bytes - 1) + i] : layer->zero;
        }
        total += tbn_fill(padded, 2, layer->zero, &block->words[(bytes - 1) * TBN_SUMS]);
    }
#if !defined(__AVR__)
    if (position % 8 == 0 && row_length % 8 == 0) {
        tbn_add_rows(&layer->tile[position / 8], row_length / 8, rows, bytes, block->sums, sums);
        return total;
    }
#endif
    for (uint32_t row = 0; row < rows; row += 2) {
        uint8_t signs[2][TBN_TABLED / 8];
        const uint32_t here = rows - row < 2 ? 1 : 2;
        for (uint32_t i = 0; i < here; i++, position += row_length) {
            tbn_copy_signs(layer->tile, position, bytes, last, signs[i]);
        }
        tbn_add_rows(signs[0], TBN_TABLED / 8, here, bytes, block->sums, &sums[row]);
    }
    return total;
}

void tbn_integer_table_sums(const tbn_integer_layer *layer, uint32_t position, uint32_t rows, const uint8_t *input, tbn_integer_block *block,
                            int32_t *sums)
{
    uint32_t total = 0;
    for (uint32_t row = 0; row < rows; row++) {
        sums[row] = 0;
    }
    for (uint32_t start = 0; start < layer->row_length; start += TBN_TABLED) {
        const uint32_t left = layer->row_length - start;
        total += tbn_block_sums(layer, position + start, rows, &input[start], left < TBN_TABLED ? left : (uint32_t)TBN_TABLED, block, sums);
    }
    for (uint32_t row = 0; row < rows; row++) {
        sums[row] = 2 * sums[row] - (int32_t)total;
    }
}
