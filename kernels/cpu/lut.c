/* The three versions of the look-ups; lut.h says what they do. */
#include "lut.h"

/* ---- any CPU ---- */

TBN_INLINE void tables_any(const float *x, int64_t apart, int64_t next, int64_t count, float *to, int64_t to_next)
{
    for (int64_t group = 0; group < count; group++, x += next, to += to_next) {
        const float x0 = x[0], x1 = x[apart], x2 = x[2 * apart], x3 = x[3 * apart];
        for (int k = 0; k < 8; k++) {
            to[k] = ((k & 1 ? -x0 : x0) + (k & 2 ? -x1 : x1)) + ((k & 4 ? -x2 : x2) + x3);
            to[k + 8] = -to[k];
        }
    }
}

static void tables_portable(const float *x, int64_t apart, int64_t next, int64_t count, float *to, int64_t to_next)
{
    tables_any(x, apart, next, count, to, to_next);
}

static void multiply_portable(const uint32_t *codes, int64_t row_words, int64_t blocks, const tbn_step *steps, int64_t count, int inputs,
                              const float *const *tables, float *const *z)
{
    for (int64_t block = 0; block < blocks; block++, codes += row_words)
        for (int i = 0; i < inputs; i++) {
            float *sum = z[i] + block * LANES;
            for (int64_t s = 0; s < count; s++) {
                const uint32_t *word = codes + (int64_t)steps[s].word * LANES;
                const float(*table)[LANES] = (const float(*)[LANES])(tables[i] + steps[s].tables);
                for (int lane = 0; lane < LANES; lane++) {
                    const uint32_t w = word[lane];
                    sum[lane] += ((table[0][w & 15] + table[1][w >> 4 & 15]) + (table[2][w >> 8 & 15] + table[3][w >> 12 & 15])) +
                                 ((table[4][w >> 16 & 15] + table[5][w >> 20 & 15]) + (table[6][w >> 24 & 15] + table[7][w >> 28]));
                }
            }
        }
}

/* A ReLU that keeps what is not a number, as torch does. */
#define FINISHED(value) (relu && (value) < 0.0f ? 0.0f : (value))

TBN_INLINE void finish_any(const float *z, int64_t count, const float *scale, int scale_each, const float *bias, int bias_each, int relu,
                           float *restrict to)
{
#define FINISH(expression)                                                                                                                  \
    for (int64_t k = 0; k < count; k++) {                                                                                                   \
        const float value = (expression);                                                                                                   \
        to[k] = FINISHED(value);                                                                                                            \
    }
    if (!bias) {
        if (scale_each)
            FINISH(z[k] * scale[k])
        else
            FINISH(z[k] * *scale)
    } else if (bias_each) {
        if (scale_each)
            FINISH(z[k] * scale[k] + bias[k])
        else
            FINISH(z[k] * *scale + bias[k])
    } else
        FINISH(z[k] * *scale + *bias)
}

static void finish_portable(const float *z, int64_t count, const float *scale, int scale_each, const float *bias, int bias_each, int relu,
                            float *to)
{
    finish_any(z, count, scale, scale_each, bias, bias_each, relu, to);
}

static void transpose_portable(const float *z, int64_t z_next, int64_t count, float *to, int64_t to_next)
{
    for (int64_t k = 0; k < count; k++)
        for (int lane = 0; lane < LANES; lane++)
            to[lane * to_next + k] = z[k * z_next + lane];
}

static const tbn_lut portable = {0, tables_portable, multiply_portable, finish_portable, transpose_portable};

TBN_EXPORT const tbn_lut *tbn_cpu_portable(void)
{
    return &portable;
}

/* ---- x86 ---- */

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f")))

AVX2 static void tables_avx2(const float *x, int64_t apart, int64_t next, int64_t count, float *to, int64_t to_next)
{
    const __m256i k = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    const __m256i minus = _mm256_set1_epi32(INT32_MIN);
    const __m256i s0 = _mm256_and_si256(_mm256_slli_epi32(k, 31), minus);
    const __m256i s1 = _mm256_and_si256(_mm256_slli_epi32(k, 30), minus);
    const __m256i s2 = _mm256_and_si256(_mm256_slli_epi32(k, 29), minus);
#define SIGNED256(i, s) _mm256_xor_ps(_mm256_set1_ps(x[(i) * apart]), _mm256_castsi256_ps(s))
    for (int64_t group = 0; group < count; group++, x += next, to += to_next) /* entries 0..7; the others are minus these */
        _mm256_store_ps(to, _mm256_add_ps(_mm256_add_ps(SIGNED256(0, s0), SIGNED256(1, s1)),
                                          _mm256_add_ps(SIGNED256(2, s2), _mm256_set1_ps(x[3 * apart]))));
}

#define FOUND256(i, j) _mm256_xor_ps(_mm256_permutevar8x32_ps(_mm256_load_ps(table[i] + (j) * LANES), _mm256_srli_epi32(w, 4 * (j))), \
                                     _mm256_castsi256_ps(_mm256_and_si256(_mm256_slli_epi32(w, 28 - 4 * (j)), minus)))
#define SUM256(i) _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(FOUND256(i, 0), FOUND256(i, 1)), _mm256_add_ps(FOUND256(i, 2), FOUND256(i, 3))), \
                                _mm256_add_ps(_mm256_add_ps(FOUND256(i, 4), FOUND256(i, 5)), _mm256_add_ps(FOUND256(i, 6), FOUND256(i, 7))))

AVX2 TBN_INLINE void block_avx2(const uint32_t *codes, const tbn_step *steps, int64_t count, int inputs, const float *const *tables,
                                float *const *z, int64_t first)
{
    const __m256i minus = _mm256_set1_epi32(INT32_MIN);
    __m256 sum[2][INPUTS]; /* registers: inputs is a constant after inlining */
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < inputs; i++)
            sum[half][i] = _mm256_load_ps(z[i] + first + 8 * half);
    for (int64_t s = 0; s < count; s++) {
        const float *table[INPUTS];
        for (int i = 0; i < inputs; i++)
            table[i] = tables[i] + steps[s].tables;
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            const __m256i w = _mm256_loadu_si256((const __m256i *)(codes + (int64_t)steps[s].word * LANES + 8 * half));
#pragma GCC unroll 2
            for (int i = 0; i < inputs; i++)
                sum[half][i] = _mm256_add_ps(sum[half][i], SUM256(i));
        }
    }
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < inputs; i++)
            _mm256_store_ps(z[i] + first + 8 * half, sum[half][i]);
}

AVX2 static void multiply_avx2(const uint32_t *codes, int64_t row_words, int64_t blocks, const tbn_step *steps, int64_t count, int inputs,
                               const float *const *tables, float *const *z)
{
    for (int64_t block = 0; block < blocks; block++, codes += row_words)
        if (inputs == INPUTS)
            block_avx2(codes, steps, count, INPUTS, tables, z, block * LANES);
        else
            block_avx2(codes, steps, count, 1, tables, z, block * LANES);
}

AVX2 static void finish_avx2(const float *z, int64_t count, const float *scale, int scale_each, const float *bias, int bias_each, int relu,
                             float *to)
{
    finish_any(z, count, scale, scale_each, bias, bias_each, relu, to);
}

/* Both wide versions: 4 x 4 at a time, in the registers that every x86-64 has. */
static void transpose_x86(const float *z, int64_t z_next, int64_t count, float *to, int64_t to_next)
{
    int64_t k = 0;
    for (; k + 4 <= count; k += 4)
        for (int lane = 0; lane < LANES; lane += 4) {
            const float *from = z + k * z_next + lane;
            float *there = to + lane * to_next + k;
            __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + z_next);
            __m128 c = _mm_loadu_ps(from + 2 * z_next), d = _mm_loadu_ps(from + 3 * z_next);
            _MM_TRANSPOSE4_PS(a, b, c, d);
            _mm_storeu_ps(there, a);
            _mm_storeu_ps(there + to_next, b);
            _mm_storeu_ps(there + 2 * to_next, c);
            _mm_storeu_ps(there + 3 * to_next, d);
        }
    transpose_portable(z + k * z_next, z_next, count - k, to + k, to_next);
}

static const tbn_lut avx2 = {0, tables_avx2, multiply_avx2, finish_avx2, transpose_x86};

TBN_EXPORT const tbn_lut *tbn_cpu_avx2(void)
{
    return &avx2;
}

AVX512 static void tables_avx512(const float *x, int64_t apart, int64_t next, int64_t count, float *to, int64_t to_next)
{
    const __m512i k = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i one = _mm512_castps_si512(_mm512_set1_ps(1.0f)), minus = _mm512_set1_epi32(INT32_MIN);
    const __m512i all = _mm512_xor_si512(one, _mm512_and_si512(_mm512_slli_epi32(k, 28), minus)); /* bit 3 flips all four */
    const __m512 s0 = _mm512_castsi512_ps(_mm512_xor_si512(all, _mm512_and_si512(_mm512_slli_epi32(k, 31), minus)));
    const __m512 s1 = _mm512_castsi512_ps(_mm512_xor_si512(all, _mm512_and_si512(_mm512_slli_epi32(k, 30), minus)));
    const __m512 s2 = _mm512_castsi512_ps(_mm512_xor_si512(all, _mm512_and_si512(_mm512_slli_epi32(k, 29), minus)));
    const __m512 s3 = _mm512_castsi512_ps(all);
    for (int64_t group = 0; group < count; group++, x += next, to += to_next) { /* a product with +-1 is exact: each step rounds as a sum does */
        const __m512 low = _mm512_fmadd_ps(_mm512_set1_ps(x[apart]), s1, _mm512_mul_ps(_mm512_set1_ps(x[0]), s0));
        const __m512 high = _mm512_fmadd_ps(_mm512_set1_ps(x[3 * apart]), s3, _mm512_mul_ps(_mm512_set1_ps(x[2 * apart]), s2));
        _mm512_store_ps(to, _mm512_add_ps(low, high));
    }
}

/* The sums of 8 look-ups; j is a constant after unrolling. */
#define FOUND512(i, j) _mm512_permutexvar_ps(_mm512_srli_epi32(w, 4 * (j)), table[i][j])
#define SUM512(i) _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(FOUND512(i, 0), FOUND512(i, 1)), _mm512_add_ps(FOUND512(i, 2), FOUND512(i, 3))), \
                                _mm512_add_ps(_mm512_add_ps(FOUND512(i, 4), FOUND512(i, 5)), _mm512_add_ps(FOUND512(i, 6), FOUND512(i, 7))))

AVX512 TBN_INLINE void blocks_avx512(const uint32_t *codes, int64_t row_words, int blocks, const tbn_step *steps, int64_t count, int inputs,
                                     const float *const *tables, float *const *z, int64_t first)
{
    __m512 sum[4][INPUTS]; /* registers: blocks and inputs are constants after inlining */
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < inputs; i++)
            sum[b][i] = _mm512_load_ps(z[i] + first + b * LANES);
    for (int64_t s = 0; s < count; s++) {
        const uint32_t *word = codes + (int64_t)steps[s].word * LANES;
        __m512 table[INPUTS][GROUPS];
        for (int i = 0; i < inputs; i++)
            for (int j = 0; j < GROUPS; j++)
                table[i][j] = _mm512_load_ps(tables[i] + steps[s].tables + j * LANES);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const __m512i w = _mm512_loadu_si512(word + b * row_words);
#pragma GCC unroll 2
            for (int i = 0; i < inputs; i++)
                sum[b][i] = _mm512_add_ps(sum[b][i], SUM512(i));
        }
    }
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < inputs; i++)
            _mm512_store_ps(z[i] + first + b * LANES, sum[b][i]);
}

AVX512 TBN_INLINE void all_blocks_avx512(const uint32_t *codes, int64_t row_words, int64_t blocks, const tbn_step *steps, int64_t count,
                                         int inputs, const float *const *tables, float *const *z)
{
    int64_t block = 0;
    for (; block + 4 <= blocks; block += 4)
        blocks_avx512(codes + block * row_words, row_words, 4, steps, count, inputs, tables, z, block * LANES);
    if (blocks - block >= 2) {
        blocks_avx512(codes + block * row_words, row_words, 2, steps, count, inputs, tables, z, block * LANES);
        block += 2;
    }
    if (block < blocks)
        blocks_avx512(codes + block * row_words, row_words, 1, steps, count, inputs, tables, z, block * LANES);
}

AVX512 static void multiply_avx512(const uint32_t *codes, int64_t row_words, int64_t blocks, const tbn_step *steps, int64_t count, int inputs,
                                   const float *const *tables, float *const *z)
{
    if (inputs == INPUTS)
        all_blocks_avx512(codes, row_words, blocks, steps, count, INPUTS, tables, z);
    else
        all_blocks_avx512(codes, row_words, blocks, steps, count, 1, tables, z);
}

AVX512 static void finish_avx512(const float *z, int64_t count, const float *scale, int scale_each, const float *bias, int bias_each, int relu,
                                 float *to)
{
    finish_any(z, count, scale, scale_each, bias, bias_each, relu, to);
}

static const tbn_lut avx512 = {0, tables_avx512, multiply_avx512, finish_avx512, transpose_x86};
static const tbn_lut avx512vnni = {1, tables_avx512, multiply_avx512, finish_avx512, transpose_x86};

/* avx512, of a CPU that is known to have (and a system to save) its registers; it also says whether there are AVX512BW and AVX512_VNNI. */
TBN_EXPORT const tbn_lut *tbn_cpu_avx512(void)
{
    unsigned eax, ebx, ecx, edx;
    const int wide = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx >> 30 & 1) && (ecx >> 11 & 1);
    return wide ? &avx512vnni : &avx512;
}
#endif
