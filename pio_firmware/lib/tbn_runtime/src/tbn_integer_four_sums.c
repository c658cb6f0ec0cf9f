/* Sums of four positions.
 *
 * Two positions share a word, 16 bits each, so one addition serves both. As in tbn_integer_table_sums.c, four inputs have 16 sums, which are
 * computed once and then serve all rows: a row adds two words in place of 16 numbers. */
#include "tbn_integer_four.h"

enum { TBN_TABLE_ROWS = 3 };
#define TBN_HALVES 0x00ff00ffu

/* One word of each entry of a table: the sums of four inputs at two positions, `a` .. `d` being their codes less the zero point. */
static inline void tbn_fill_half(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t none, uint32_t *table)
{
    const uint32_t both = a + b;
    table[0] = none;
    table[2] = none + a;
    table[4] = none + b;
    table[6] = none + both;
    none += c;
    table[8] = none;
    table[10] = none + a;
    table[12] = none + b;
    table[14] = none + both;
    none += d;
    table[24] = none;
    table[26] = none + a;
    table[28] = none + b;
    table[30] = none + both;
    none -= c;
    table[16] = none;
    table[18] = none + a;
    table[20] = none + b;
    table[22] = none + both;
}

/* The sums of four inputs, two words for each of 16: of positions 0 and 2, and of 1 and 3. No half of a sum ever leaves 0 .. 4 * 255. */
static TBN_ALONE void tbn_fill_four(const uint32_t *codes, uint32_t zeros, uint32_t *table)
{
    const uint32_t zero = zeros & TBN_HALVES, a = codes[0], b = codes[1], c = codes[2], d = codes[3];
    tbn_fill_half((a & TBN_HALVES) - zero, (b & TBN_HALVES) - zero, (c & TBN_HALVES) - zero, (d & TBN_HALVES) - zero, 4 * zero, table);
    tbn_fill_half((a >> 8 & TBN_HALVES) - zero, (b >> 8 & TBN_HALVES) - zero, (c >> 8 & TBN_HALVES) - zero, (d >> 8 & TBN_HALVES) - zero,
                  4 * zero, table + 1);
}

/* At least `count` <= 16 signs from bit `position` of a tile of `bytes` on; beyond its end anything. */
static inline uint32_t tbn_16_signs(const uint8_t *tile, uint32_t bytes, uint32_t position, uint32_t count)
{
    const uint32_t bit = position % 8, first = position / 8;
    tile += first;
#if TBN_FOUR_BYTES
    if (first + 4 <= bytes) {
        return ((const tbn_loose_word *)tile)->value >> bit;
    }
#endif
    uint32_t signs = TBN_READ_U8(tile);
    if (bit + count > 8 && first + 1 < bytes) {
        signs |= (uint32_t)TBN_READ_U8(tile + 1) << 8;
    }
    if (bit + count > 16 && first + 2 < bytes) {
        signs |= (uint32_t)TBN_READ_U8(tile + 2) << 16;
    }
    return signs >> bit;
}

/* Signs and row of a table meet. */
#define TBN_ADD(k)                                                                                    \
    do {                                                                                              \
        const uint32_t *const found = &tables[(k) * TBN_TABLE_WORDS + 2 * (signs >> (4 * (k)) & 15u)]; \
        even += found[0];                                                                             \
        odd += found[1];                                                                              \
    } while (0)

/* Adds what the signs of `rows` rows select of `used` tables to the two words of each row; a constant `used` drops the questions. */
static inline void tbn_add_tables(const uint8_t *tile, uint32_t bytes, uint32_t position, uint32_t row_length, const uint32_t *end,
                                  uint32_t used, const uint32_t *tables, uint32_t *packed)
{
    do {
        const uint32_t signs = tbn_16_signs(tile, bytes, position, 4 * used);
        uint32_t even = packed[0], odd = packed[1];
        TBN_ADD(0);
        if (used > 1) {
            TBN_ADD(1);
        }
        if (used > 2) {
            TBN_ADD(2);
        }
        if (used > 3) {
            TBN_ADD(3);
        }
        packed[0] = even;
        packed[1] = odd;
        packed += 2;
        position += row_length;
    } while (packed != end);
}

static TBN_ALONE void tbn_add_full(const uint8_t *tile, uint32_t bytes, uint32_t position, uint32_t row_length, const uint32_t *end,
                                   const uint32_t *tables, uint32_t *packed)
{
#if TBN_THUMB1
    if (position % 8 == 0 && row_length % 8 == 0) {
        tbn_thumb1_four(&tile[position / 8], row_length / 8, tables, packed, end);
        return;
    }
#endif
    tbn_add_tables(tile, bytes, position, row_length, end, 4, tables, packed);
}

static TBN_ALONE void tbn_add_rest(const uint8_t *tile, uint32_t bytes, uint32_t position, uint32_t row_length, const uint32_t *end,
                                   uint32_t used, const uint32_t *tables, uint32_t *packed)
{
    if (used == 3) {
        tbn_add_tables(tile, bytes, position, row_length, end, 3, tables, packed);
    } else if (used == 2) {
        tbn_add_tables(tile, bytes, position, row_length, end, 2, tables, packed);
    } else {
        tbn_add_tables(tile, bytes, position, row_length, end, 1, tables, packed);
    }
}

/* A few rows do not pay for tables. Adds to `all` as if all signs were +. */
static TBN_ALONE void tbn_add_one(uint32_t signs, uint32_t count, const uint32_t *codes, uint32_t zeros, uint32_t *packed, uint32_t *all)
{
    uint32_t even = packed[0], odd = packed[1], all_even = all[0], all_odd = all[1];
    for (const uint32_t *const end = codes + count; codes != end; codes++, signs >>= 1) {
        const uint32_t next = *codes, selected = (signs & 1u) != 0 ? next : zeros;
        even += selected & TBN_HALVES;
        odd += selected >> 8 & TBN_HALVES;
        all_even += next & TBN_HALVES;
        all_odd += next >> 8 & TBN_HALVES;
    }
    packed[0] = even;
    packed[1] = odd;
    all[0] = all_even;
    all[1] = all_odd;
}

/* sums[4 * row + k] = or += 2 * (what row selected at position k) - totals[k]; from the last row on, as `packed` may lie where `sums` does. */
static TBN_ALONE void tbn_unpack(const uint32_t *packed, uint32_t rows, const int32_t *totals, int fresh, int32_t *sums)
{
    const int32_t t0 = totals[0], t1 = totals[1], t2 = totals[2], t3 = totals[3];
    const uint32_t *pair = packed + 2 * rows;
    int32_t *sum = sums + 4 * rows;
    while (pair != packed) {
        pair -= 2;
        sum -= 4;
        const uint32_t even = pair[0], odd = pair[1];
        const int32_t s0 = (int32_t)(even & 0xffffu) * 2 - t0, s1 = (int32_t)(odd & 0xffffu) * 2 - t1;
        const int32_t s2 = (int32_t)(even >> 16) * 2 - t2, s3 = (int32_t)(odd >> 16) * 2 - t3;
        if (fresh) {
            sum[0] = s0;
            sum[1] = s1;
            sum[2] = s2;
            sum[3] = s3;
        } else {
            sum[0] += s0;
            sum[1] += s1;
            sum[2] += s2;
            sum[3] += s3;
        }
    }
}

void tbn_integer_sums_of_four(const tbn_integer_layer *layer, tbn_walk *walk, uint32_t position, uint32_t rows, tbn_integer_block *block,
                              int32_t *sums, uint32_t *packed)
{
    const uint8_t *const tile = layer->tile;
    const uint32_t bytes = (layer->tile_length + 7) / 8, row_length = layer->row_length, zeros = walk->zeros;
    const uint32_t *const end = packed + 2 * rows;
    for (uint32_t done = 0; done < row_length;) {
        const uint32_t start = done, stop = row_length - done <= TBN_PART ? row_length : done + TBN_PART;
        uint32_t all[2] = {0, 0}; /* as if all signs were + */
        for (uint32_t *at = packed; at != end; at++) {
            *at = 0;
        }
        while (done < stop) {
            uint32_t codes[TBN_TAPS];
            const uint32_t count = stop - done < TBN_TAPS ? stop - done : (uint32_t)TBN_TAPS, used = (count + 3) / 4;
            tbn_integer_gather_four(walk, count, codes);
            for (uint32_t i = count; i < 4 * used; i++) { /* selected whatever the sign */
                codes[i] = zeros;
            }
            if (rows < TBN_TABLE_ROWS) {
                uint32_t again[2];
                for (uint32_t row = 0, at = position; row < rows; row++, at += row_length) {
                    tbn_add_one(tbn_16_signs(tile, bytes, at, count), 4 * used, codes, zeros, &packed[2 * row], row == 0 ? all : again);
                }
            } else {
                uint32_t *table = block->words;
                for (uint32_t k = 0; k < used; k++, table += TBN_TABLE_WORDS) {
                    tbn_fill_four(&codes[4 * k], zeros, table);
                    all[0] += table[TBN_TABLE_WORDS - 2];
                    all[1] += table[TBN_TABLE_WORDS - 1];
                }
                if (used == TBN_TAPS / 4) {
                    tbn_add_full(tile, bytes, position, row_length, end, block->words, packed);
                } else {
                    tbn_add_rest(tile, bytes, position, row_length, end, used, block->words, packed);
                }
            }
            position += count;
            done += count;
        }
        const int32_t zero = (int32_t)((done - start + 3) / 4 * 4 * layer->zero);
        const int32_t totals[4] = {(int32_t)(all[0] & 0xffffu) + zero, (int32_t)(all[1] & 0xffffu) + zero, (int32_t)(all[0] >> 16) + zero,
                                   (int32_t)(all[1] >> 16) + zero};
        tbn_unpack(packed, rows, totals, start == 0, sums);
    }
}
