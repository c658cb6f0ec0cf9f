/* Look-ups of sums of 4 inputs: what the linear layer (linear.c) and the convolution (conv.c) have in common. One bit a sign, float32.
 *
 * How: for each group of 4 inputs the 16 sums +-x0 +-x1 +-x2 +-x3 go into a table, and a row reads its sum by 4 bits. So one look-up does
 * the work of 4 multiply-adds, for 16 rows at a time (one vpermps of AVX-512). The idea is known from T-MAC and others; here with float32.
 *
 * Codes (made once by kernels.cpu.codes): uint32 (blocks, words, 16). A word holds 32 columns of one row, nibble j of it the columns
 * 4*j .. 4*j+3: bit 3 says that column 3 is -1, bit i that column i differs from column 3. So entry k + 8 of a table is minus entry k, and
 * AVX2, whose permute has 8 entries, flips the sign by bit 3. A block is 16 rows; what lies past the edges is ignored.
 *
 * Three versions with the same order of additions, each rounded, so that they agree bit for bit, whatever rows or inputs a call
 * is asked for: avx512, avx2 and portable (any CPU, plain C). The caller chooses one that the CPU has, owns all buffers and may call from
 * several threads for different parts of the output. C99 with the attributes of GCC and Clang.
 */
#ifndef TBN_LUT_H
#define TBN_LUT_H

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
    LANES = 16,            /* rows of a block, and entries of a table */
    CHUNK = 32,            /* columns of a word */
    GROUPS = 8,            /* groups of 4 columns in a word */
    TABLES = GROUPS * LANES, /* floats in the tables of a word */
    INPUTS = 2             /* inputs that share the reading of the codes */
};

typedef struct { /* a step of a product: one word of each row, and the tables that it looks into */
    int32_t word;   /* place in a row of codes */
    int32_t tables; /* place of its first table, in floats from the input's first; a multiple of 16 */
} tbn_step;


typedef struct { /* one version */
    int vnni; /* whether int8.c may use AVX-512 VNNI with it */
    /* Tables of `count` groups: group k is x[k*next + {0, 1, 2, 3}*apart], its table lies at to + k*to_next (64-byte aligned). */
    void (*tables)(const float *x, int64_t apart, int64_t next, int64_t count, float *to, int64_t to_next);
    /* Add to z[input][16*block + lane], for 1 or 2 inputs, what the steps find. Tables and z are 64-byte aligned. */
    void (*multiply)(const uint32_t *codes, int64_t row_words, int64_t blocks, const tbn_step *steps, int64_t count, int inputs,
                     const float *const *tables, float *const *z);
    /* to[k] = activation(z[k] * scale[k or 0] + bias[k or 0]); bias may be NULL. */
    void (*finish)(const float *z, int64_t count, const float *scale, int scale_each, const float *bias, int bias_each, int relu, float *to);
    /* to[lane*to_next + k] = z[k*z_next + lane] of 16 lanes. */
    void (*transpose)(const float *z, int64_t z_next, int64_t count, float *to, int64_t to_next);
} tbn_lut;

#endif
