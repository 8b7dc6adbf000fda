/** A seeded generator: the same seed gives the same numbers in [0, 1) on every machine and for ever. */
export type Prng = () => number;

/**
 * sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, and fast enough to be asked at every step.
 * Twelve rounds are thrown away first, so that neighbouring seeds do not start alike.
 */
export function createPrng(seed: number): Prng {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = seed | 0;
  let counter = (Math.floor(seed / 2 ** 32) | 0) + 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}
