/* Tiled linear layer on a CPU with 8-bit inputs: a row of x is rounded to whole multiples of max|x| / 127, and all sums are exact integers.
 *
 * How: z = sum(q) - 2 * (sum of the q whose sign is -1). The codes are those of lut.h; with its differences undone, a word holds the signs of
 * columns k, 8+k, 16+k and 24+k in bit k of its four bytes. So `word >> k & 0x01010101` is an operand of vpdpbusd (in each of 16 lanes 4
 * products of bytes, added up), the same columns of q are the other. Without AVX-512 VNNI plain C finds the same integers.
 * Working memory: 57 KB of stack. Rows of up to 2^24 columns.
 */
#include "lut.h"

enum {
    EIGHT_BIT_INPUTS = 4, /* inputs that share the reading of the codes */
    STEP_WORDS = 128, /* words of a row whose inputs are alive at a time */
    STEP_BLOCKS = 128 /* blocks whose sums are alive at a time: 8 KB an input */
};

typedef struct { /* the working memory of one call */
    uint32_t q[EIGHT_BIT_INPUTS][STEP_WORDS * GROUPS]; /* k of a chunk: its columns k, 8+k, 16+k, 24+k, the first in the lowest byte */
    int32_t minus[EIGHT_BIT_INPUTS][STEP_BLOCKS * LANES];
    float z[STEP_BLOCKS * LANES];
} tbn_work TBN_ALIGNED;

typedef struct { /* one version: what the functions below do */
    float (*steps)(const float *x, int64_t columns, float *step);
    uint32_t (*quantise)(const float *x, int64_t columns, float inverse, uint32_t *q);
    void (*minus)(const uint32_t *codes, int64_t row_words, int64_t blocks, int64_t count, int inputs, tbn_work *work);
} tbn_rounded;

/* 127 / max|x|; 0 where a row is all 0 (or as good as that), and where it holds what is not finite: *step, max|x| / 127, then is not a number. */
TBN_INLINE float steps_of(const float *x, int64_t columns, float *step)
{
    int32_t largest = 0;
    for (int64_t c = 0; c < columns; c++) {
        int32_t bits;
        memcpy(&bits, x + c, sizeof bits);
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
    }
    float most;
    memcpy(&most, &largest, sizeof most);
    *step = most / 127.0f;
    if (largest >= 0x7f800000) {
        *step = most - most;
        return 0.0f;
    }
    return most < 1e-35f ? 0.0f : 127.0f / most;
}

/* Round 32 inputs to the nearest (even) whole number, in the order of tbn_work; returns their sum. */
TBN_INLINE uint32_t quantise_chunk(const float *x, float inverse, uint32_t *q)
{
    float shifted[CHUNK];
    uint32_t whole[CHUNK], sum = 0;
    for (int c = 0; c < CHUNK; c++)
        shifted[c] = x[c] * inverse + 12582912.0f; /* 1.5 * 2^23: no room for a fraction */
    memcpy(whole, shifted, sizeof whole);
    for (int c = 0; c < CHUNK; c++)
        sum += whole[c] -= 0x4b400000u;
    for (int k = 0; k < GROUPS; k++)
        q[k] = (whole[k] & 255u) | (whole[8 + k] & 255u) << 8 | (whole[16 + k] & 255u) << 16 | whole[24 + k] << 24;
    return sum;
}

/* The same for `columns` inputs, with zeros up to a whole chunk. */
TBN_INLINE uint32_t quantise(const float *x, int64_t columns, float inverse, uint32_t *q)
{
    uint32_t sum = 0;
    int64_t c = 0;
    for (; c + CHUNK <= columns; c += CHUNK, q += GROUPS)
        sum += quantise_chunk(x + c, inverse, q);
    if (c < columns) {
        float part[CHUNK] = {0};
        memcpy(part, x + c, (size_t)(columns - c) * sizeof(float));
        sum += quantise_chunk(part, inverse, q);
    }
    return sum;
}

/* Signs of 32 columns, 1 for -1, column c in bit c: undo the differences from the last of each 4. */
TBN_INLINE uint32_t signs_of(uint32_t word)
{
    const uint32_t last = word & 0x88888888u;
    return word ^ (last >> 1) ^ (last >> 2) ^ (last >> 3);
}

static float steps_portable(const float *x, int64_t columns, float *step)
{
    return steps_of(x, columns, step);
}

static uint32_t quantise_portable(const float *x, int64_t columns, float inverse, uint32_t *q)
{
    return quantise(x, columns, inverse, q);
}

static void minus_portable(const uint32_t *codes, int64_t row_words, int64_t blocks, int64_t count, int inputs, tbn_work *work)
{
    for (int64_t block = 0; block < blocks; block++, codes += row_words)
        for (int64_t word = 0; word < count; word++) {
            uint32_t signs[LANES];
            for (int lane = 0; lane < LANES; lane++)
                signs[lane] = signs_of(codes[word * LANES + lane]);
            for (int i = 0; i < inputs; i++) {
                int32_t *sum = work->minus[i] + block * LANES;
                for (int c = 0; c < CHUNK; c++) {
                    const int32_t q = (int8_t)(work->q[i][word * GROUPS + c % 8] >> 8 * (c / 8));
                    for (int lane = 0; lane < LANES; lane++)
                        sum[lane] += q & -(int32_t)(signs[lane] >> c & 1);
                }
            }
        }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

VNNI static float steps_vnni(const float *x, int64_t columns, float *step)
{
    return steps_of(x, columns, step);
}

VNNI static uint32_t quantise_vnni(const float *x, int64_t columns, float inverse, uint32_t *q)
{
    return quantise(x, columns, inverse, q);
}

VNNI TBN_INLINE void blocks_vnni(const uint32_t *codes, int64_t row_words, int blocks, int64_t count, int inputs, tbn_work *work, int64_t first)
{
    const __m512i last = _mm512_set1_epi32((int)0x88888888u), one = _mm512_set1_epi8(1);
    __m512i sum[8][EIGHT_BIT_INPUTS]; /* registers: blocks and inputs are constants after inlining */
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < inputs; i++)
            sum[b][i] = _mm512_load_si512(work->minus[i] + first + b * LANES);
    for (int64_t word = 0; word < count; word++) {
        __m512i signs[8];
        for (int b = 0; b < blocks; b++) {
            const __m512i w = _mm512_loadu_si512(codes + b * row_words + word * LANES), l = _mm512_and_si512(w, last);
            const __m512i far = _mm512_xor_si512(w, _mm512_srli_epi32(l, 3));
            signs[b] = _mm512_ternarylogic_epi32(far, _mm512_srli_epi32(l, 1), _mm512_srli_epi32(l, 2), 0x96); /* xor of three */
        }
#pragma GCC unroll 8
        for (int k = 0; k < GROUPS; k++) {
            __m512i four[EIGHT_BIT_INPUTS];
            for (int i = 0; i < inputs; i++)
                four[i] = _mm512_set1_epi32((int)work->q[i][word * GROUPS + k]);
#pragma GCC unroll 8
            for (int b = 0; b < blocks; b++) {
                const __m512i bits = _mm512_and_si512(_mm512_srli_epi32(signs[b], k), one);
#pragma GCC unroll 4
                for (int i = 0; i < inputs; i++)
                    sum[b][i] = _mm512_dpbusd_epi32(sum[b][i], bits, four[i]);
            }
        }
    }
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < inputs; i++)
            _mm512_store_si512(work->minus[i] + first + b * LANES, sum[b][i]);
}

VNNI static void minus_vnni(const uint32_t *codes, int64_t row_words, int64_t blocks, int64_t count, int inputs, tbn_work *work)
{
    int64_t block = 0;
    if (inputs == EIGHT_BIT_INPUTS) {
        for (; block + 4 <= blocks; block += 4)
            blocks_vnni(codes + block * row_words, row_words, 4, count, EIGHT_BIT_INPUTS, work, block * LANES);
        for (; block < blocks; block++)
            blocks_vnni(codes + block * row_words, row_words, 1, count, EIGHT_BIT_INPUTS, work, block * LANES);
    } else {
        for (; block + 8 <= blocks; block += 8)
            blocks_vnni(codes + block * row_words, row_words, 8, count, 1, work, block * LANES);
        for (; block + 4 <= blocks; block += 4)
            blocks_vnni(codes + block * row_words, row_words, 4, count, 1, work, block * LANES);
        for (; block < blocks; block++)
            blocks_vnni(codes + block * row_words, row_words, 1, count, 1, work, block * LANES);
    }
}
#endif

/* As tbn_cpu_linear of linear.c. */
TBN_EXPORT void tbn_cpu_int8(const tbn_lut *lut, const float *x, const uint32_t *codes, const float *scale, const float *bias, float *out,
                             int64_t columns, int64_t rows, int64_t copies, int64_t each, int64_t relu, int64_t batch_start,
                             int64_t batch_stop, int64_t block_start, int64_t block_stop)
{
    tbn_work work;
    const int64_t words = (columns + CHUNK - 1) / CHUNK;
    tbn_rounded way = {steps_portable, quantise_portable, minus_portable};
#if defined(__x86_64__)
    if (lut->vnni)
        way = (tbn_rounded){steps_vnni, quantise_vnni, minus_vnni};
#endif
    for (int64_t block = block_start; block < block_stop; block += STEP_BLOCKS) {
        const int64_t blocks = block_stop - block < STEP_BLOCKS ? block_stop - block : STEP_BLOCKS;
        const int64_t first = block * LANES, count = rows - first < blocks * LANES ? rows - first : blocks * LANES;
        int inputs;
        for (int64_t input = batch_start; input < batch_stop; input += inputs) {
            inputs = batch_stop - input < EIGHT_BIT_INPUTS ? 1 : EIGHT_BIT_INPUTS;
            float inverse[EIGHT_BIT_INPUTS], step[EIGHT_BIT_INPUTS];
            uint32_t sum[EIGHT_BIT_INPUTS] = {0};
            for (int i = 0; i < inputs; i++) {
                inverse[i] = way.steps(x + (input + i) * columns, columns, step + i);
                memset(work.minus[i], 0, (size_t)(blocks * LANES) * sizeof(int32_t));
            }
            for (int64_t word = 0; word < words; word += STEP_WORDS) {
                const int64_t part = words - word < STEP_WORDS ? words - word : STEP_WORDS;
                const int64_t left = columns - word * CHUNK, there = left < part * CHUNK ? left : part * CHUNK;
                for (int i = 0; i < inputs; i++)
                    sum[i] += way.quantise(x + (input + i) * columns + word * CHUNK, there, inverse[i], work.q[i]);
                way.minus(codes + (block * words + word) * LANES, words * LANES, blocks, part, inputs, &work);
            }
            for (int i = 0; i < inputs; i++) {
                for (int64_t r = 0; r < count; r++)
                    work.z[r] = (float)(int32_t)(sum[i] - 2u * (uint32_t)work.minus[i][r]) * step[i];
                for (int64_t copy = 0; copy < copies; copy++) {
                    const int64_t output = copy * rows + first;
                    lut->finish(work.z, count, scale + (each ? output : copy), (int)each, bias ? bias + output : NULL, 1, (int)relu,
                                out + (input + i) * copies * rows + output);
                }
            }
        }
    }
}
