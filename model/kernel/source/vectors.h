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
#define FUSED(name, f)                                                                       \
  static INLINE V F(name)(V a, V b, V c) {                                                   \
    return _Generic((real)0, float: (V)_mm512_##f##_ps((__m512)a, (__m512)b, (__m512)c),     \
                    double: (V)_mm512_##f##_pd((__m512d)a, (__m512d)b, (__m512d)c));         \
  }
FUSED(fma, fmadd)
FUSED(fnma, fnmadd)
#elif defined(__AVX2__)
#define FUSED(name, f)                                                                       \
  static INLINE V F(name)(V a, V b, V c) {                                                   \
    return _Generic((real)0, float: (V)_mm256_##f##_ps((__m256)a, (__m256)b, (__m256)c),     \
                    double: (V)_mm256_##f##_pd((__m256d)a, (__m256d)b, (__m256d)c));         \
  }
FUSED(fma, fmadd)
FUSED(fnma, fnmadd)
#elif defined(__aarch64__)
#define FUSED(name, f)                                                                                \
  static INLINE V F(name)(V a, V b, V c) {                                                            \
    return _Generic((real)0, float: (V)f##_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b),       \
                    double: (V)f##_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b));              \
  }
FUSED(fma, vfmaq)
FUSED(fnma, vfmsq)
#else
static INLINE V F(fma)(V a, V b, V c) {
  for (int lane = 0; lane < LANES; lane++)
    c[lane] = _Generic((real)0, float: __builtin_fmaf((float)a[lane], (float)b[lane], (float)c[lane]),
                       double: __builtin_fma(a[lane], b[lane], c[lane]));
  return c;
}
static INLINE V F(fnma)(V a, V b, V c) { return F(fma)(-a, b, c); }
#endif
#undef FUSED

/* Return a vector of which each number is a. Compilers drop − 0, which is exact; they must keep + 0, since −0 + 0 is 0. */
static INLINE V F(broadcast)(real a) { return a - (V){0}; }

static INLINE V F(load)(const real *at) { return *(const F(Unaligned) *)at; }
static INLINE void F(store)(real *at, V a) { *(F(Unaligned) *)at = a; }

/* Return a where the mask is set, and b elsewhere. */
static INLINE V F(select)(I mask, V a, V b) { return (V)((mask & (I)a) | (~mask & (I)b)); }

/* Set numbers near zero to 0. Denormal numbers would be slow, and processors differ in what they do when a rounded
   result is next to them: so nothing may come near them. `flush` keeps numbers from 2⁻⁶³ on (double: 2⁻⁵¹¹), those whose
   exponent has one of its two highest bits; it serves W1, whose other factors are pixels, ρ or 1 + ρ − 2ηλ, from 2⁻³⁷
   on. `flush_small` keeps numbers from 2⁻⁵⁰ on (double: 2⁻⁴⁸⁰); it serves H, G, D, W2 and the biases. Each product in a
   sum is then at least 2⁻¹⁰⁰ (double: 2⁻⁹⁶⁰), and all sums of such products are exact where they would be denormal. */
static INLINE V F(flush)(V a) { return (V)((I)a & (((I)a & HIGH_EXPONENT) != 0)); }

static INLINE V F(flush_small)(V a) {
  const V least = F(broadcast)(LEAST);
  return F(select)((a < least) & (a > -least), (V){0}, a);
}

/* Return eˣ for x ≤ 0, 0 below −60, and NaN for NaN. It is wrong by less than 1 unit in the last place.

   x = n·ln 2 + r with |r| ≤ ln 2 / 2, and eˣ = 2ⁿ·eʳ. eʳ is Taylor's polynomial to r⁷ (float) or r¹³ (double). Adding
   ROUNDER rounds to an integer, and leaves that integer in the lowest bits. */
static INLINE V F(exp)(V x) {
  static const real factors[] = EXP_FACTORS;
  const V rounder = F(broadcast)(ROUNDER);
  V shifted = F(fma)(x, F(broadcast)((real)1.4426950408889634), rounder), n = shifted - rounder;
  V r = F(fnma)(n, F(broadcast)(LN2_HIGH), x);
  r = F(fnma)(n, F(broadcast)(LN2_LOW), r);
  V sum = F(broadcast)(factors[0]);
  for (unsigned k = 1; k < sizeof factors / sizeof *factors; k++) sum = F(fma)(sum, r, F(broadcast)(factors[k]));
  V power = (V)(((I)shifted + EXPONENT_BIAS) << MANTISSA_BITS);
  return F(select)(x < F(broadcast)(-60), (V){0}, sum * power);
}

/* Return ln x for finite x ≥ 1, and NaN for infinity and NaN. It is wrong by less than 3 units in the last place.

   x = 2ᵉ·f with √½ ≤ f < √2, and ln f = 2·artanh s = 2s·(1 + s²/3 + s⁴/5 + …) with s = (f − 1)/(f + 1). */
static INLINE V F(log)(V x) {
  static const int terms = LOG_TERMS;
  I e = ((I)x - ROOT_HALF_BITS) >> MANTISSA_BITS;
  V f = (V)((I)x - (e << MANTISSA_BITS));
  V s = (f - F(broadcast)(1)) / (f + F(broadcast)(1)), square = s * s;
  V sum = F(broadcast)((real)1 / (2 * terms + 1));
  for (int k = terms - 1; k >= 0; k--) sum = F(fma)(sum, square, F(broadcast)((real)1 / (2 * k + 1)));
  return F(fma)(__builtin_convertvector(e, V), F(broadcast)((real)0.6931471805599453), (s + s) * sum) + (x - x);
}
