/* Sums of whole rows with the instructions of Cortex-M4, M7 and M33 that take four bytes at once.
 *
 * 32 signs lie in a word. UADD8 of the word with itself shifts each of its bytes left by one and keeps the four bits that fall out as flags;
 * SEL takes, by these flags, four codes or four times the zero point; USADA8 adds the four. So a row needs three instructions for four
 * inputs, and what it adds up is code where the sign is + and zero elsewhere:
 *
 *     sum of sign * (code - zero) = 2 * (sum of selected - zero) - sum of (code - zero).
 *
 * The codes have to lie in the order in which the bits fall out. The block holds 512 of them, arranged once for all rows. */
#include "tbn_integer_layer.h"

#if TBN_FOUR_BYTES

enum { TBN_ARRANGED = TBN_INTEGER_BLOCK_BYTES, TBN_SIGNS = 32, TBN_PLANES = 8 };

static inline uint32_t tbn_add_four(uint32_t codes, uint32_t sum)
{
    __asm__("usada8 %0, %1, %2, %0" : "+r"(sum) : "r"(codes), "r"(0));
    return sum;
}

/* The next four signs of each byte of *signs, and the codes that they select. */
static inline uint32_t tbn_select(uint32_t *signs, uint32_t codes, uint32_t zeros)
{
    uint32_t selected;
    __asm__("uadd8 %0, %0, %0\n\tsel %1, %2, %3" : "+r"(*signs), "=r"(selected) : "r"(codes), "r"(zeros) : "cc");
    return selected;
}

/* 32 codes: byte k of word j is code 8 * k + 7 - j, since the highest bits fall out first. Returns the sum of the codes. */
static uint32_t tbn_arrange(const uint8_t *codes, uint32_t *words)
{
    uint32_t sum = 0;
    for (uint32_t j = TBN_PLANES; j-- > 0; words++) {
        *words = codes[j] | (uint32_t)codes[j + 8] << 8 | (uint32_t)codes[j + 16] << 16 | (uint32_t)codes[j + 24] << 24;
        sum = tbn_add_four(*words, sum);
    }
    return sum;
}

/* The last `count` < 32 codes of a row. */
static uint32_t tbn_arrange_rest(const uint8_t *codes, uint32_t count, uint8_t zero, uint32_t *words)
{
    uint8_t padded[TBN_SIGNS];
    for (uint32_t i = 0; i < TBN_SIGNS; i++) {
        padded[i] = i < count ? codes[i] : zero;
    }
    return tbn_arrange(padded, words);
}

/* 32 signs from any bit of the tile on; beyond the tile's `bytes` anything. */
static inline uint32_t tbn_signs(const uint8_t *tile, uint32_t bytes, uint32_t position)
{
    const uint32_t first = position / 8, bit = position % 8;
    if (bytes - first > 4) {
        const uint32_t signs = ((const tbn_loose_word *)&tile[first])->value;
        return bit == 0 ? signs : signs >> bit | (uint32_t)tile[first + 4] << (32 - bit);
    }
    uint32_t signs = 0;
    for (uint32_t i = 0; i < bytes - first; i++) {
        signs |= (uint32_t)tile[first + i] << (8 * i);
    }
    return signs >> bit;
}

#define TBN_PLANE(j)                                              \
    one = tbn_add_four(tbn_select(&a, words[j], zeros), one);     \
    two = tbn_add_four(tbn_select(&b, words[j], zeros), two)
#define TBN_ALL_PLANES                                                                                                  \
    TBN_PLANE(0); TBN_PLANE(1); TBN_PLANE(2); TBN_PLANE(3); TBN_PLANE(4); TBN_PLANE(5); TBN_PLANE(6); TBN_PLANE(7)

void tbn_integer_plane_sums(const tbn_integer_layer *layer, uint32_t position, uint32_t rows, const uint8_t *input, tbn_integer_block *block,
                            int32_t *sums)
{
    const uint8_t *tile = layer->tile;
    const uint32_t bytes = (layer->tile_length + 7) / 8;
    const uint32_t zeros = layer->zero * 0x01010101u;
    const uint32_t row_length = layer->row_length;
    for (uint32_t start = 0; start < row_length; start += TBN_ARRANGED) {
        const uint32_t count = row_length - start < TBN_ARRANGED ? row_length - start : (uint32_t)TBN_ARRANGED;
        const uint32_t full = count / TBN_SIGNS, rest = count % TBN_SIGNS;
        uint32_t total = 0;
        for (uint32_t i = 0; i < full; i++) {
            total += tbn_arrange(&input[start + i * TBN_SIGNS], &block->words[i * TBN_PLANES]);
        }
        if (rest != 0) {
            total += tbn_arrange_rest(&input[start + full * TBN_SIGNS], rest, layer->zero, &block->words[full * TBN_PLANES]);
        }
        const int32_t offset = (int32_t)(total + (full + (rest != 0)) * TBN_SIGNS * layer->zero);
        for (uint32_t row = 0; row < rows; row += 2) { /* two rows share the loads of the codes; a last single one is its own partner */
            const uint32_t other = row + 1 < rows ? row + 1 : row;
            const uint32_t first = position + row * row_length + start, second = position + other * row_length + start;
            const uint32_t *words = block->words, *const end = words + full * TBN_PLANES;
            uint32_t a, b, one = 0, two = 0;
            if (first % 8 == 0 && second % 8 == 0) {
                for (const uint8_t *at = &tile[first / 8], *beside = &tile[second / 8]; words != end; words += TBN_PLANES) {
                    a = ((const tbn_loose_word *)at)->value;
                    b = ((const tbn_loose_word *)beside)->value;
                    at += 4;
                    beside += 4;
                    TBN_ALL_PLANES;
                }
            } else {
                for (uint32_t moved = 0; words != end; words += TBN_PLANES, moved += TBN_SIGNS) {
                    a = tbn_signs(tile, bytes, first + moved);
                    b = tbn_signs(tile, bytes, second + moved);
                    TBN_ALL_PLANES;
                }
            }
            if (rest != 0) {
                a = tbn_signs(tile, bytes, first + full * TBN_SIGNS);
                b = tbn_signs(tile, bytes, second + full * TBN_SIGNS);
                TBN_ALL_PLANES;
            }
            const int32_t found = (int32_t)(2 * one) - offset, beside = (int32_t)(2 * two) - offset;
            sums[row] = start == 0 ? found : sums[row] + found;
            sums[other] = row == other ? sums[row] : start == 0 ? beside : sums[other] + beside;
        }
    }
}

#else
typedef int tbn_no_planes; /* a source file has to hold something */
#endif
