/* Tiled linear layer on a CPU: y = alpha * (signs @ x) + bias, one bit a sign, the distinct rows multiplied once and written p times.
 *
 * How: for each group of 4 inputs the 16 sums +-x0 +-x1 +-x2 +-x3 go into a table, and a row reads its sum by 4 bits. So one look-up does
 * the work of 4 multiply-adds, for 16 rows at a time (one vpermps of AVX-512). The idea is known from T-MAC and others; here with float32.
 *
 * Codes (made once by kernels.cpu.pack_codes): uint32 (blocks, chunks, 16). A word holds 32 columns of one row, nibble j of it the columns
 * 4*j .. 4*j+3: bit 3 says that column 3 is -1, bit i that column i differs from column 3. So entry k + 8 of a table is minus entry k, and
 * AVX2, whose permute has 8 entries, flips the sign by bit 3. A block is 16 rows, a chunk 32 columns; what lies past the edges is ignored.
 *
 * Three versions with the same order of additions and no fused multiply-add, so that they agree bit for bit, whatever rows or inputs a call
 * is asked for: avx512, avx2 and portable (any CPU, plain C). The caller chooses one that the CPU has, owns all buffers and may call from
 * several threads for different blocks or inputs. Working memory: 52 KB of stack. C99 with the vector types of GCC and Clang.
 */
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define TBN_EXPORT __declspec(dllexport)
#else
#define TBN_EXPORT __attribute__((visibility("default")))
#endif
#define TBN_ALIGNED __attribute__((aligned(64)))
#define TBN_INLINE static inline __attribute__((always_inline))

enum {
    LANES = 16,        /* rows of a block */
    CHUNK = 32,        /* columns of a word */
    GROUPS = 8,        /* groups of 4 columns in a word */
    STEP_CHUNKS = 32,  /* chunks whose tables are alive at a time: 16 KB an input, so that they stay in the first cache */
    STEP_BLOCKS = 128, /* blocks whose sums are alive at a time: 8 KB an input */
    INPUTS = 2         /* inputs that share the reading of the codes */
};

typedef struct { /* the working memory of one call */
    float x[STEP_CHUNKS * CHUNK];
    float tables[INPUTS][STEP_CHUNKS * GROUPS][LANES];
    float z[INPUTS][STEP_BLOCKS][LANES];
} tbn_work TBN_ALIGNED;

/* ---- portable ---- */

TBN_INLINE void tables_portable(const float *x, int64_t groups, float (*tables)[LANES])
{
    for (int64_t group = 0; group < groups; group++, x += 4) {
        float *table = tables[group];
        for (int k = 0; k < 8; k++) {
            table[k] = ((k & 1 ? -x[0] : x[0]) + (k & 2 ? -x[1] : x[1])) + ((k & 4 ? -x[2] : x[2]) + x[3]);
            table[k + 8] = -table[k];
        }
    }
}

TBN_INLINE void look_up_portable(const uint32_t *codes, int64_t chunks, const float (*tables)[LANES], float *z)
{
    for (int64_t chunk = 0; chunk < chunks; chunk++, codes += LANES, tables += GROUPS) {
        for (int lane = 0; lane < LANES; lane++) {
            const uint32_t w = codes[lane];
            z[lane] += ((tables[0][w & 15] + tables[1][w >> 4 & 15]) + (tables[2][w >> 8 & 15] + tables[3][w >> 12 & 15])) +
                       ((tables[4][w >> 16 & 15] + tables[5][w >> 20 & 15]) + (tables[6][w >> 24 & 15] + tables[7][w >> 28]));
        }
    }
}

TBN_INLINE void multiply_portable(const uint32_t *codes, int64_t row_words, int64_t blocks, int64_t chunks, int inputs, tbn_work *work)
{
    for (int64_t block = 0; block < blocks; block++, codes += row_words)
        for (int i = 0; i < inputs; i++)
            look_up_portable(codes, chunks, (const float(*)[LANES])work->tables[i], work->z[i][block]);
}

/* ---- x86 ---- */

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f")))
#define AVX2 __attribute__((target("avx2")))

AVX512 TBN_INLINE void tables_avx512(const float *x, int64_t groups, float (*tables)[LANES])
{
    const __m512i k = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512i minus = _mm512_set1_epi32(INT32_MIN);
    const __m512i all = _mm512_and_si512(_mm512_slli_epi32(k, 28), minus); /* bit 3 flips all four */
    const __m512i s0 = _mm512_xor_si512(_mm512_and_si512(_mm512_slli_epi32(k, 31), minus), all);
    const __m512i s1 = _mm512_xor_si512(_mm512_and_si512(_mm512_slli_epi32(k, 30), minus), all);
    const __m512i s2 = _mm512_xor_si512(_mm512_and_si512(_mm512_slli_epi32(k, 29), minus), all);
#define SIGNED512(i, s) _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(_mm512_set1_ps(x[i])), s))
    for (int64_t group = 0; group < groups; group++, x += 4)
        _mm512_store_ps(tables[group], _mm512_add_ps(_mm512_add_ps(SIGNED512(0, s0), SIGNED512(1, s1)),
                                                     _mm512_add_ps(SIGNED512(2, s2), SIGNED512(3, all))));
}

/* The sums of 8 look-ups; j is a constant after unrolling. */
#define FOUND512(i, j) _mm512_permutexvar_ps(_mm512_srli_epi32(w, 4 * (j)), table[i][j])
#define SUM512(i) _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(FOUND512(i, 0), FOUND512(i, 1)), _mm512_add_ps(FOUND512(i, 2), FOUND512(i, 3))), \
                                _mm512_add_ps(_mm512_add_ps(FOUND512(i, 4), FOUND512(i, 5)), _mm512_add_ps(FOUND512(i, 6), FOUND512(i, 7))))

AVX512 TBN_INLINE void tile_avx512(const uint32_t *codes, int64_t row_words, int64_t chunks, int inputs, int blocks, tbn_work *work, int64_t first)
{
    __m512 sum[4][INPUTS]; /* registers: blocks and inputs are constants after inlining */
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < inputs; i++)
            sum[b][i] = _mm512_load_ps(work->z[i][first + b]);
    for (int64_t chunk = 0; chunk < chunks; chunk++, codes += LANES) {
        __m512 table[INPUTS][GROUPS];
        for (int i = 0; i < inputs; i++)
            for (int j = 0; j < GROUPS; j++)
                table[i][j] = _mm512_load_ps(work->tables[i][chunk * GROUPS + j]);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const __m512i w = _mm512_loadu_si512(codes + b * row_words);
#pragma GCC unroll 2
            for (int i = 0; i < inputs; i++)
                sum[b][i] = _mm512_add_ps(sum[b][i], SUM512(i));
        }
    }
    for (int b = 0; b < blocks; b++)
        for (int i = 0; i < inputs; i++)
            _mm512_store_ps(work->z[i][first + b], sum[b][i]);
}

AVX512 TBN_INLINE void multiply_avx512(const uint32_t *codes, int64_t row_words, int64_t blocks, int64_t chunks, int inputs, tbn_work *work)
{
    int64_t block = 0;
    for (; block + 4 <= blocks; block += 4)
        tile_avx512(codes + block * row_words, row_words, chunks, inputs, 4, work, block);
    if (blocks - block >= 2) {
        tile_avx512(codes + block * row_words, row_words, chunks, inputs, 2, work, block);
        block += 2;
    }
    if (block < blocks)
        tile_avx512(codes + block * row_words, row_words, chunks, inputs, 1, work, block);
}

AVX2 TBN_INLINE void tables_avx2(const float *x, int64_t groups, float (*tables)[LANES])
{
    const __m256i k = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    const __m256i minus = _mm256_set1_epi32(INT32_MIN);
    const __m256i s0 = _mm256_and_si256(_mm256_slli_epi32(k, 31), minus);
    const __m256i s1 = _mm256_and_si256(_mm256_slli_epi32(k, 30), minus);
    const __m256i s2 = _mm256_and_si256(_mm256_slli_epi32(k, 29), minus);
#define SIGNED256(i, s) _mm256_xor_ps(_mm256_set1_ps(x[i]), _mm256_castsi256_ps(s))
    for (int64_t group = 0; group < groups; group++, x += 4) /* entries 0..7; the others are minus these */
        _mm256_store_ps(tables[group], _mm256_add_ps(_mm256_add_ps(SIGNED256(0, s0), SIGNED256(1, s1)),
                                                     _mm256_add_ps(SIGNED256(2, s2), _mm256_set1_ps(x[3]))));
}

#define FOUND256(i, j) _mm256_xor_ps(_mm256_permutevar8x32_ps(_mm256_load_ps(table[i] + (j) * LANES), _mm256_srli_epi32(w, 4 * (j))), \
                                     _mm256_castsi256_ps(_mm256_and_si256(_mm256_slli_epi32(w, 28 - 4 * (j)), minus)))
#define SUM256(i) _mm256_add_ps(_mm256_add_ps(_mm256_add_ps(FOUND256(i, 0), FOUND256(i, 1)), _mm256_add_ps(FOUND256(i, 2), FOUND256(i, 3))), \
                                _mm256_add_ps(_mm256_add_ps(FOUND256(i, 4), FOUND256(i, 5)), _mm256_add_ps(FOUND256(i, 6), FOUND256(i, 7))))

AVX2 TBN_INLINE void multiply_avx2(const uint32_t *codes, int64_t row_words, int64_t blocks, int64_t chunks, int inputs, tbn_work *work)
{
    const __m256i minus = _mm256_set1_epi32(INT32_MIN);
    for (int64_t block = 0; block < blocks; block++, codes += row_words) {
        __m256 sum[2][INPUTS];
        for (int half = 0; half < 2; half++)
            for (int i = 0; i < inputs; i++)
                sum[half][i] = _mm256_load_ps(work->z[i][block] + 8 * half);
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            const float *table[INPUTS];
            for (int i = 0; i < inputs; i++)
                table[i] = work->tables[i][chunk * GROUPS];
#pragma GCC unroll 2
            for (int half = 0; half < 2; half++) {
                const __m256i w = _mm256_loadu_si256((const __m256i *)(codes + chunk * LANES + 8 * half));
#pragma GCC unroll 2
                for (int i = 0; i < inputs; i++)
                    sum[half][i] = _mm256_add_ps(sum[half][i], SUM256(i));
            }
        }
        for (int half = 0; half < 2; half++)
            for (int i = 0; i < inputs; i++)
                _mm256_store_ps(work->z[i][block] + 8 * half, sum[half][i]);
    }
}
#endif

/* ---- the whole layer ---- */

/* Write the copies of the sums of some rows of one input: out[c*rows + r] = z[r] * alphas[c] + bias[c*rows + r]. */
TBN_INLINE void finish(const float *z, int64_t first, int64_t count, int64_t rows, int64_t copies, const float *alphas, const float *bias, float *out)
{
    for (int64_t copy = 0; copy < copies; copy++) {
        const float alpha = alphas[copy];
        float *restrict to = out + copy * rows + first;
        if (bias) {
            const float *add = bias + copy * rows + first;
            for (int64_t r = 0; r < count; r++)
                to[r] = z[r] * alpha + add[r];
        } else
            for (int64_t r = 0; r < count; r++)
                to[r] = z[r] * alpha;
    }
}

/* x: (batch, columns); codes: (ceil(rows / 16), ceil(columns / 32), 16); alphas: (copies); bias: (copies * rows) or NULL;
 * out: (batch, copies * rows). Does the blocks [block_start, block_stop) of the inputs [batch_start, batch_stop). */
#define TBN_LINEAR(version, target)                                                                                                         \
    target TBN_EXPORT void tbn_cpu_linear_##version(                                                                                        \
        const float *x, const uint32_t *codes, const float *alphas, const float *bias, float *out, int64_t columns, int64_t rows,           \
        int64_t copies, int64_t batch_start, int64_t batch_stop, int64_t block_start, int64_t block_stop)                                   \
    {                                                                                                                                       \
        tbn_work work;                                                                                                                      \
        const int64_t chunks = (columns + CHUNK - 1) / CHUNK;                                                                               \
        for (int64_t block = block_start; block < block_stop; block += STEP_BLOCKS) {                                                       \
            const int64_t blocks = block_stop - block < STEP_BLOCKS ? block_stop - block : STEP_BLOCKS;                                     \
            for (int64_t input = batch_start; input < batch_stop; input += INPUTS) {                                                        \
                const int inputs = batch_stop - input < INPUTS ? 1 : INPUTS;                                                                \
                for (int i = 0; i < inputs; i++)                                                                                            \
                    memset(work.z[i], 0, (size_t)blocks * sizeof work.z[i][0]);                                                             \
                for (int64_t chunk = 0; chunk < chunks; chunk += STEP_CHUNKS) {                                                             \
                    const int64_t step = chunks - chunk < STEP_CHUNKS ? chunks - chunk : STEP_CHUNKS;                                       \
                    const int64_t there = columns - chunk * CHUNK < step * CHUNK ? columns - chunk * CHUNK : step * CHUNK;                  \
                    for (int i = 0; i < inputs; i++) {                                                                                      \
                        memcpy(work.x, x + (input + i) * columns + chunk * CHUNK, (size_t)there * sizeof(float));                           \
                        memset(work.x + there, 0, (size_t)(step * CHUNK - there) * sizeof(float));                                          \
                        tables_##version(work.x, step * GROUPS, work.tables[i]);                                                            \
                    }                                                                                                                       \
                    const uint32_t *part = codes + (block * chunks + chunk) * LANES;                                                        \
                    if (inputs == INPUTS)                                                                                                   \
                        multiply_##version(part, chunks * LANES, blocks, step, INPUTS, &work);                                              \
                    else                                                                                                                    \
                        multiply_##version(part, chunks * LANES, blocks, step, 1, &work);                                                   \
                }                                                                                                                           \
                const int64_t first = block * LANES, count = rows - first < blocks * LANES ? rows - first : blocks * LANES;                 \
                for (int i = 0; i < inputs; i++)                                                                                            \
                    finish(work.z[i][0], first, count, rows, copies, alphas, bias, out + (input + i) * copies * rows);                      \
            }                                                                                                                               \
        }                                                                                                                                   \
    }

TBN_LINEAR(portable, )
#if defined(__x86_64__)
TBN_LINEAR(avx2, AVX2)
TBN_LINEAR(avx512, AVX512)
#endif
