;; CRC-32C and SipHash-2-4-128 over the arena's memory.
;;
;;   0                16384    16400   16408    16640     16944            20480      53248           62048     65536
;;   +----------------+--------+-------+--------+---------+----------------+----------+---------------+---------+------
;;   | CRC tables     | result | block | -      | rest    | -              | scratch  | quotient      | -       | slabs
;;   +----------------+--------+-------+--------+---------+----------------+----------+---------------+---------+------
;;
;; CRC tables: sixteen tables of 256 words. Word n of table k is the checksum register after byte n and k zero bytes.
;; result, block: what a SipHash ends in, and its last, padded block.
;; quotient, rest: see `longCrc32c`.
;; Rebuild with `node scripts/wasm/build.ts`.
(module
  (import "arena" "memory" (memory 1024 1024))

  (global $v0 (mut i64) (i64.const 0))
  (global $v1 (mut i64) (i64.const 0))
  (global $v2 (mut i64) (i64.const 0))
  (global $v3 (mut i64) (i64.const 0))

  ;; Fills the CRC tables. Table 0 byte by byte, bit by bit; table k from table k - 1.
  (func (export "start")
    (local $n i32) (local $crc i32) (local $bit i32)
    (loop $bytes
      (local.set $crc (local.get $n))
      (local.set $bit (i32.const 8))
      (loop $bits
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 1))
            (i32.and
              (i32.const 0x82f63b78)
              (i32.sub (i32.const 0) (i32.and (local.get $crc) (i32.const 1))))))
        (br_if $bits (local.tee $bit (i32.sub (local.get $bit) (i32.const 1)))))
      (i32.store (i32.shl (local.get $n) (i32.const 2)) (local.get $crc))
      (br_if $bytes (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 256))))
    (loop $words
      (local.set $crc (i32.load (i32.shl (i32.sub (local.get $n) (i32.const 256)) (i32.const 2))))
      (i32.store
        (i32.shl (local.get $n) (i32.const 2))
        (i32.xor
          (i32.shr_u (local.get $crc) (i32.const 8))
          (i32.load (i32.shl (i32.and (local.get $crc) (i32.const 255)) (i32.const 2)))))
      (br_if $words (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 4096)))))

  ;; The CRC-32C of [at, end), going on from `crc` (0 at the start).
  (func (export "crc32c") (param $crc i32) (param $at i32) (param $end i32) (result i32)
    (if (result i32) (i32.ge_u (i32.sub (local.get $end) (local.get $at)) (i32.const 512))
      (then (call $longCrc32c (local.get $crc) (local.get $at) (local.get $end)))
      (else (call $shortCrc32c (local.get $crc) (local.get $at) (local.get $end)))))

  ;; By table lookups alone, sixteen bytes a step.
  (func $shortCrc32c (param $crc i32) (param $at i32) (param $end i32) (result i32)
    (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $last i32)
    (local.set $crc (i32.xor (local.get $crc) (i32.const -1)))
    (block $short
      (br_if $short (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 16)))
      (local.set $last (i32.sub (local.get $end) (i32.const 16)))
      (loop $sixteen
        (local.set $a (i32.xor (local.get $crc) (i32.load (local.get $at))))
        (local.set $b (i32.load offset=4 (local.get $at)))
        (local.set $c (i32.load offset=8 (local.get $at)))
        (local.set $d (i32.load offset=12 (local.get $at)))
        (i32.load offset=15360 (i32.and (i32.shl (local.get $a) (i32.const 2)) (i32.const 0x3fc)))
        (i32.load offset=14336 (i32.and (i32.shr_u (local.get $a) (i32.const 6)) (i32.const 0x3fc)))
        i32.xor
        (i32.load offset=13312 (i32.and (i32.shr_u (local.get $a) (i32.const 14)) (i32.const 0x3fc)))
        (i32.load offset=12288 (i32.and (i32.shr_u (local.get $a) (i32.const 22)) (i32.const 0x3fc)))
        i32.xor
        i32.xor
        (i32.load offset=11264 (i32.and (i32.shl (local.get $b) (i32.const 2)) (i32.const 0x3fc)))
        (i32.load offset=10240 (i32.and (i32.shr_u (local.get $b) (i32.const 6)) (i32.const 0x3fc)))
        i32.xor
        (i32.load offset=9216 (i32.and (i32.shr_u (local.get $b) (i32.const 14)) (i32.const 0x3fc)))
        (i32.load offset=8192 (i32.and (i32.shr_u (local.get $b) (i32.const 22)) (i32.const 0x3fc)))
        i32.xor
        i32.xor
        i32.xor
        (i32.load offset=7168 (i32.and (i32.shl (local.get $c) (i32.const 2)) (i32.const 0x3fc)))
        (i32.load offset=6144 (i32.and (i32.shr_u (local.get $c) (i32.const 6)) (i32.const 0x3fc)))
        i32.xor
        (i32.load offset=5120 (i32.and (i32.shr_u (local.get $c) (i32.const 14)) (i32.const 0x3fc)))
        (i32.load offset=4096 (i32.and (i32.shr_u (local.get $c) (i32.const 22)) (i32.const 0x3fc)))
        i32.xor
        i32.xor
        (i32.load offset=3072 (i32.and (i32.shl (local.get $d) (i32.const 2)) (i32.const 0x3fc)))
        (i32.load offset=2048 (i32.and (i32.shr_u (local.get $d) (i32.const 6)) (i32.const 0x3fc)))
        i32.xor
        (i32.load offset=1024 (i32.and (i32.shr_u (local.get $d) (i32.const 14)) (i32.const 0x3fc)))
        (i32.load offset=0 (i32.and (i32.shr_u (local.get $d) (i32.const 22)) (i32.const 0x3fc)))
        i32.xor
        i32.xor
        i32.xor
        i32.xor
        local.set $crc
        (local.set $at (i32.add (local.get $at) (i32.const 16)))
        (br_if $sixteen (i32.le_u (local.get $at) (local.get $last)))))
    (block $done
      (br_if $done (i32.eq (local.get $at) (local.get $end)))
      (loop $one
        (local.set $crc
          (i32.xor
            (i32.shr_u (local.get $crc) (i32.const 8))
            (i32.load
              (i32.shl
                (i32.and (i32.xor (local.get $crc) (i32.load8_u (local.get $at))) (i32.const 255))
                (i32.const 2)))))
        (br_if $one (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $end)))))
    (i32.xor (local.get $crc) (i32.const -1)))

  ;; By carrying bytes forward, sixteen a step (S. Russell, "Chorba", 2024); only a rest goes through tables.
  ;;
  ;; For this polynomial a byte counts as much as the same byte does at five places together: 154, 177, 183, 258 and 290
  ;; further on. So it may be taken out where it stands and added (xor) at those five. Done from the beginning on, this
  ;; leaves nothing but the last 304 bytes, the rest, and their checksum is that of the whole. What byte i has become
  ;; when its turn comes is
  ;;
  ;;   q[i] = m[i] + q[i - 154] + q[i - 177] + q[i - 183] + q[i - 258] + q[i - 290]
  ;;
  ;; where q is 0 before the message and within the rest. Every load reaches back at least 154 bytes, so the sixteen
  ;; bytes of a step do not depend on each other. The quotient q is kept in pieces of 8192 behind the 304 bytes before
  ;; them; `$q` points 304 bytes before the place of q[i].
  (func $longCrc32c (param $crc i32) (param $at i32) (param $end i32) (result i32)
    (local $q i32) (local $last i32) (local $stop i32) (local $rest i32)
    (memory.fill (i32.const 53248) (i32.const 0) (i32.const 304))
    (local.set $last
      (i32.sub
        (i32.add
          (local.get $at)
          (i32.and (i32.sub (local.get $end) (local.get $at)) (i32.const -16)))
        (i32.const 304)))
    ;; The register so far joins the first four bytes, with nothing before them.
    (v128.store offset=304
      (i32.const 53248)
      (v128.xor
        (v128.load (local.get $at))
        (i32x4.replace_lane 0
          (v128.const i32x4 0 0 0 0)
          (i32.xor (i32.const -1) (local.get $crc)))))
    (local.set $at (i32.add (local.get $at) (i32.const 16)))
    (local.set $q (i32.const 53264))
    (block $done
      (loop $piece
        (local.set $stop (i32.add (local.get $at) (i32.sub (i32.const 61440) (local.get $q))))
        (if (i32.gt_u (local.get $stop) (local.get $last))
          (then (local.set $stop (local.get $last))))
        (loop $row
          (v128.store offset=304
            (local.get $q)
            (v128.xor
              (v128.xor
                (v128.xor (v128.load (local.get $at)) (v128.load offset=150 (local.get $q)))
                (v128.xor (v128.load offset=127 (local.get $q)) (v128.load offset=121 (local.get $q))))
              (v128.xor (v128.load offset=46 (local.get $q)) (v128.load offset=14 (local.get $q)))))
          (local.set $q (i32.add (local.get $q) (i32.const 16)))
          (br_if $row (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 16))) (local.get $stop))))
        (br_if $done (i32.eq (local.get $at) (local.get $last)))
        (memory.copy (i32.const 53248) (local.get $q) (i32.const 304))
        (local.set $q (i32.const 53248))
        (br $piece)))
    (memory.fill (i32.add (local.get $q) (i32.const 304)) (i32.const 0) (i32.const 304))
    (local.set $rest (i32.const 16640))
    (loop $row
      (v128.store
        (local.get $rest)
        (v128.xor
          (v128.xor
            (v128.xor (v128.load (local.get $at)) (v128.load offset=150 (local.get $q)))
            (v128.xor (v128.load offset=127 (local.get $q)) (v128.load offset=121 (local.get $q))))
          (v128.xor (v128.load offset=46 (local.get $q)) (v128.load offset=14 (local.get $q)))))
      (local.set $q (i32.add (local.get $q) (i32.const 16)))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $row (i32.ne (local.tee $rest (i32.add (local.get $rest) (i32.const 16))) (i32.const 16944))))
    ;; -1: the register begins as 0, for what it held is in the sum already.
    (call $shortCrc32c
      (call $shortCrc32c (i32.const -1) (i32.const 16640) (i32.const 16944))
      (local.get $at)
      (local.get $end)))

  (func $word (param $low i32) (param $high i32) (result i64)
    (i64.or
      (i64.extend_i32_u (local.get $low))
      (i64.shl (i64.extend_i32_u (local.get $high)) (i64.const 32))))

  ;; SipHash begins: the key as four little-endian words.
  (func $sipStart (export "sipStart") (param $k0 i32) (param $k1 i32) (param $k2 i32) (param $k3 i32)
    (local $low i64) (local $high i64)
    (local.set $low (call $word (local.get $k0) (local.get $k1)))
    (local.set $high (call $word (local.get $k2) (local.get $k3)))
    (global.set $v0 (i64.xor (local.get $low) (i64.const 0x736f6d6570736575)))
    (global.set $v1 (i64.xor (local.get $high) (i64.const 0x646f72616e646f83)))
    (global.set $v2 (i64.xor (local.get $low) (i64.const 0x6c7967656e657261)))
    (global.set $v3 (i64.xor (local.get $high) (i64.const 0x7465646279746573))))

  ;; Takes in the whole blocks of [at, end), a multiple of eight bytes: two rounds each.
  (func $sipBlocks (export "sipBlocks") (param $at i32) (param $end i32)
    (local $v0 i64) (local $v1 i64) (local $v2 i64) (local $v3 i64) (local $m i64)
    (local.set $v0 (global.get $v0))
    (local.set $v1 (global.get $v1))
    (local.set $v2 (global.get $v2))
    (local.set $v3 (global.get $v3))
    (block $done
      (br_if $done (i32.eq (local.get $at) (local.get $end)))
      (loop $block
        (local.set $m (i64.load (local.get $at)))
        (local.set $v3 (i64.xor (local.get $v3) (local.get $m)))
        ;; round
        (local.set $v0 (i64.add (local.get $v0) (local.get $v1)))
        (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 13)) (local.get $v0)))
        (local.set $v0 (i64.rotl (local.get $v0) (i64.const 32)))
        (local.set $v2 (i64.add (local.get $v2) (local.get $v3)))
        (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 16)) (local.get $v2)))
        (local.set $v0 (i64.add (local.get $v0) (local.get $v3)))
        (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 21)) (local.get $v0)))
        (local.set $v2 (i64.add (local.get $v2) (local.get $v1)))
        (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 17)) (local.get $v2)))
        (local.set $v2 (i64.rotl (local.get $v2) (i64.const 32)))
        ;; round
        (local.set $v0 (i64.add (local.get $v0) (local.get $v1)))
        (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 13)) (local.get $v0)))
        (local.set $v0 (i64.rotl (local.get $v0) (i64.const 32)))
        (local.set $v2 (i64.add (local.get $v2) (local.get $v3)))
        (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 16)) (local.get $v2)))
        (local.set $v0 (i64.add (local.get $v0) (local.get $v3)))
        (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 21)) (local.get $v0)))
        (local.set $v2 (i64.add (local.get $v2) (local.get $v1)))
        (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 17)) (local.get $v2)))
        (local.set $v2 (i64.rotl (local.get $v2) (i64.const 32)))
        (local.set $v0 (i64.xor (local.get $v0) (local.get $m)))
        (br_if $block (i32.ne (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end)))))
    (global.set $v0 (local.get $v0))
    (global.set $v1 (local.get $v1))
    (global.set $v2 (local.get $v2))
    (global.set $v3 (local.get $v3)))

  ;; Four closing rounds; answers one half of the hash.
  (func $sipHalf (result i64)
    (local $v0 i64) (local $v1 i64) (local $v2 i64) (local $v3 i64) (local $left i32)
    (local.set $v0 (global.get $v0))
    (local.set $v1 (global.get $v1))
    (local.set $v2 (global.get $v2))
    (local.set $v3 (global.get $v3))
    (local.set $left (i32.const 4))
    (loop $round
      (local.set $v0 (i64.add (local.get $v0) (local.get $v1)))
      (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 13)) (local.get $v0)))
      (local.set $v0 (i64.rotl (local.get $v0) (i64.const 32)))
      (local.set $v2 (i64.add (local.get $v2) (local.get $v3)))
      (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 16)) (local.get $v2)))
      (local.set $v0 (i64.add (local.get $v0) (local.get $v3)))
      (local.set $v3 (i64.xor (i64.rotl (local.get $v3) (i64.const 21)) (local.get $v0)))
      (local.set $v2 (i64.add (local.get $v2) (local.get $v1)))
      (local.set $v1 (i64.xor (i64.rotl (local.get $v1) (i64.const 17)) (local.get $v2)))
      (local.set $v2 (i64.rotl (local.get $v2) (i64.const 32)))
      (br_if $round (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (global.set $v0 (local.get $v0))
    (global.set $v1 (local.get $v1))
    (global.set $v2 (local.get $v2))
    (global.set $v3 (local.get $v3))
    (i64.xor
      (i64.xor (local.get $v0) (local.get $v1))
      (i64.xor (local.get $v2) (local.get $v3))))

  ;; Takes in the last bytes [at, end), fewer than eight, of `total` in all; leaves sixteen bytes in `result`.
  (func $sipEnd (export "sipEnd") (param $at i32) (param $end i32) (param $total i32)
    (local $to i32)
    (i64.store (i32.const 16400) (i64.shl (i64.extend_i32_u (local.get $total)) (i64.const 56)))
    (local.set $to (i32.const 16400))
    (block $done
      (loop $byte
        (br_if $done (i32.eq (local.get $at) (local.get $end)))
        (i32.store8 (local.get $to) (i32.load8_u (local.get $at)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $byte)))
    (call $sipBlocks (i32.const 16400) (i32.const 16408))
    (global.set $v2 (i64.xor (global.get $v2) (i64.const 0xee)))
    (i64.store (i32.const 16384) (call $sipHalf))
    (global.set $v1 (i64.xor (global.get $v1) (i64.const 0xdd)))
    (i64.store (i32.const 16392) (call $sipHalf)))

  ;; The three in one, for a key that lies in memory whole.
  (func (export "siphash")
    (param $k0 i32) (param $k1 i32) (param $k2 i32) (param $k3 i32) (param $at i32) (param $length i32)
    (local $whole i32)
    (local.set $whole (i32.add (local.get $at) (i32.and (local.get $length) (i32.const -8))))
    (call $sipStart (local.get $k0) (local.get $k1) (local.get $k2) (local.get $k3))
    (call $sipBlocks (local.get $at) (local.get $whole))
    (call $sipEnd (local.get $whole) (i32.add (local.get $at) (local.get $length)) (local.get $length))))
