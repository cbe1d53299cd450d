/** Types as test subjects: `is<Equal<A, B>>()` compiles only when A and B are one type. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

export function is<T extends true>(...proof: readonly T[]): void {
  void proof
}
