/* What the integer operations share: checks, the sums of a layer's distinct rows, and the way from sums to codes. */
#ifndef TBN_INTEGER_LAYER_H
#define TBN_INTEGER_LAYER_H

#include "tbn_integer.h"

#if defined(__AVR__)
#define TBN_READ_I8(address) ((int8_t)pgm_read_byte(address))
#define TBN_READ_I16(address) ((int16_t)pgm_read_word(address))
#else
#define TBN_READ_I8(address) (*(address))
#define TBN_READ_I16(address) (*(address))
#endif

/* Cortex-M4, M7, M33 and the like: four bytes in a register. -DTBN_PORTABLE leaves their instructions alone. */
#if defined(__ARM_FEATURE_SIMD32) && defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN) && !defined(TBN_PORTABLE)
#define TBN_FOUR_BYTES 1
typedef struct {
    uint32_t value;
} __attribute__((packed, may_alias)) tbn_loose_word; /* at any address */
#else
#define TBN_FOUR_BYTES 0
#endif

/* Cortex-M0 and M0+: see tbn_thumb1.S. */
#if defined(__thumb__) && !defined(__thumb2__) && !defined(__ARM_BIG_ENDIAN) && !defined(TBN_PORTABLE)
#define TBN_THUMB1 1
uint32_t tbn_thumb1_fill(const uint8_t *codes, uint32_t groups, uint32_t none, uint32_t less, uint32_t *words);
void tbn_thumb1_rows(const uint8_t *a, const uint8_t *b, uint32_t step, uint32_t bytes, const uint16_t *table, int32_t *sums,
                     const int32_t *end);
void tbn_thumb1_four(const uint8_t *signs, uint32_t step, const uint32_t *tables, uint32_t *packed, const uint32_t *end);
#else
#define TBN_THUMB1 0
#endif

/* Loops that have all registers to themselves run faster than those inlined into a large function. */
#if defined(__GNUC__)
#define TBN_ALONE __attribute__((noinline))
#else
#define TBN_ALONE
#endif

static inline uint8_t tbn_clip(int32_t value, uint8_t low, uint8_t high)
{
    if (value < (int32_t)low) {
        return low;
    }
    return value > (int32_t)high ? high : (uint8_t)value;
}

static inline int32_t tbn_bias(const int16_t *biases, uint32_t index, uint8_t shift)
{
    return (int32_t)TBN_READ_I16(&biases[index]) * ((int32_t)1 << shift);
}

/* Sum of sign * (code - zero) over `count` signs of the tile from `position` on. */
static inline int32_t tbn_signed_sum(const uint8_t *tile, uint32_t position, const uint8_t *codes, uint32_t count, int32_t zero)
{
    int32_t sum = 0;
    uint32_t bits = (uint32_t)TBN_READ_U8(&tile[position >> 3]) >> (position & 7u);
    for (uint32_t i = 0; i < count; i++) {
        const int32_t negative = (int32_t)(bits & 1u) - 1; /* 0 or -1 */
        sum += ((codes[i] - zero) ^ negative) - negative;
        position++;
        bits >>= 1;
        if ((position & 7u) == 0 && i + 1 < count) {
            bits = TBN_READ_U8(&tile[position >> 3]);
        }
    }
    return sum;
}

tbn_status tbn_integer_check(const tbn_integer_layer *layer, const tbn_integer_scratch *scratch);

/* scratch->sums[i] = sum of sign * (input - zero) over piece i of the distinct rows. `input` holds row_length * groups codes. */
void tbn_integer_sums(const tbn_integer_layer *layer, const uint8_t *input, const tbn_integer_scratch *scratch);

/* The same for `rows` whole rows of signs that follow each other in the tile from bit `position` on, all of the same `count` inputs: with a
 * table of sums, or with instructions that take four bytes. */
void tbn_integer_table_sums(const tbn_integer_layer *layer, uint32_t position, uint32_t rows, const uint8_t *input, tbn_integer_block *block,
                            int32_t *sums);
void tbn_integer_plane_sums(const tbn_integer_layer *layer, uint32_t position, uint32_t rows, const uint8_t *input, tbn_integer_block *block,
                            int32_t *sums);

/* The sums of one position as outputs, `stride` elements from one output to the next; into `codes`, or into `values` where that is no NULL. */
void tbn_integer_finish(const tbn_integer_layer *layer, const int32_t *sums, uint8_t *codes, int32_t *values, uint32_t stride);

#endif
