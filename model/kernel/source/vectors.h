/* Vectors of one precision: V holds LANES numbers of type `real`, I integers of the same size.

   Included once for each precision, with `real`, `integer` and F(name) defined. A fused multiply-add rounds once. It is
   always written as FMA or FNMA, and the compiler may not fuse anything else (-ffp-contract=off), so that each
   rounding is part of the source. */

#define LANES ((long)(VECTOR_BYTES / sizeof(real)))

typedef real F(V) __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef real F(Unaligned) __attribute__((vector_size(VECTOR_BYTES), may_alias, aligned(4)));
typedef integer F(I) __attribute__((vector_size(VECTOR_BYTES), may_alias));
#define V F(V)
#define I F(I)

/* Return a·b + c and c − a·b, each rounded once. */
#if defined(__AVX512F__)
#define FUSED(f, d)                                                                           \
  return _Generic((real)0, float: (V)_mm512_##f##_ps((__m512)a, (__m512)b, (__m512)c),      \
                  double: (V)_mm512_##f##_pd((__m512d)a, (__m512d)b, (__m512d)c));
#elif defined(__AVX2__)
#define FUSED(f, d)                                                                           \
  return _Generic((real)0, float: (V)_mm256_##f##_ps((__m256)a, (__m256)b, (__m256)c),      \
                  double: (V)_mm256_##f##_pd((__m256d)a, (__m256d)b, (__m256d)c));
#elif defined(__aarch64__)
#define FUSED(f, d)                                                                           \
  return _Generic((real)0, float: (V)f##_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b), \
                  double: (V)f##_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b));
#else
#define FUSED(f, a)                                                                           \
  for (int lane = 0; lane < LANES; lane++)                                                    \
    c[lane] = _Generic((real)0, float: __builtin_fmaf((float)(a)[lane], (float)b[lane], (float)c[lane]), \
                       double: __builtin_fma((a)[lane], b[lane], c[lane]));                   \
  return c;
#endif
#if defined(__aarch64__)
static INLINE V F(fma)(V a, V b, V c) { FUSED(vfmaq, a) }
static INLINE V F(fnma)(V a, V b, V c) { FUSED(vfmsq, -a) }
#else
static INLINE V F(fma)(V a, V b, V c) { FUSED(fmadd, a) }
static INLINE V F(fnma)(V a, V b, V c) { FUSED(fnmadd, -a) }
#endif
#undef FUSED

/* Return a vector of which each number is a. (a + 0 would turn −0 into 0, so it costs an instruction.) */
static INLINE V F(all)(real a) { return a - (V){0}; }

static INLINE V F(load)(const real *at) { return *(const F(Unaligned) *)at; }
static INLINE void F(save)(real *at, V a) { *(F(Unaligned) *)at = a; }

/* Return a where the mask is set, and b elsewhere. */
static INLINE V F(choose)(I mask, V a, V b) { return (V)((mask & (I)a) | (~mask & (I)b)); }

/* Return eˣ for x ≤ 0, 0 below −60, and NaN for NaN.

   x = n·ln 2 + r with |r| ≤ ln 2 / 2, and eˣ = 2ⁿ·eʳ. eʳ is Taylor's polynomial to r⁷ (float) or r¹³ (double). Adding
   ROUNDER rounds to an integer, and leaves that integer in the lowest bits. */
static INLINE V F(exp)(V x) {
  static const real factors[] = EXP_FACTORS;
  const V rounder = F(all)(ROUNDER);
  V shifted = F(fma)(x, F(all)((real)1.4426950408889634), rounder), n = shifted - rounder;
  V r = F(fnma)(n, F(all)(LN2_HIGH), x);
  r = F(fnma)(n, F(all)(LN2_LOW), r);
  V sum = F(all)(factors[0]);
  for (unsigned k = 1; k < sizeof factors / sizeof *factors; k++) sum = F(fma)(sum, r, F(all)(factors[k]));
  V power = (V)(((I)shifted + EXPONENT_BIAS) << MANTISSA_BITS);
  return F(choose)(x < F(all)(-60), (V){0}, sum * power);
}

/* Return ln x for finite x ≥ 1, and NaN for infinity and NaN.

   x = 2ᵉ·f with √½ ≤ f < √2, and ln f = 2·artanh s = 2s·(1 + s²/3 + s⁴/5 + …) with s = (f − 1)/(f + 1). */
static INLINE V F(log)(V x) {
  static const int terms = LOG_TERMS;
  I e = ((I)x - ROOT_HALF_BITS) >> MANTISSA_BITS;
  V f = (V)((I)x - (e << MANTISSA_BITS));
  V s = (f - F(all)(1)) / (f + F(all)(1)), square = s * s;
  V sum = F(all)((real)1 / (2 * terms + 1));
  for (int k = terms - 1; k >= 0; k--) sum = F(fma)(sum, square, F(all)((real)1 / (2 * k + 1)));
  return F(fma)(__builtin_convertvector(e, V), F(all)((real)0.6931471805599453), (s + s) * sum) + (x - x);
}
