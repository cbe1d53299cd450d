/** The one entry of msgpackr that neither compiles code nor loads a native part ships without types. */
declare module 'msgpackr/index-no-eval' {
  export interface PackrOptions {
    readonly useRecords?: boolean
    readonly mapsAsObjects?: boolean
    readonly variableMapSize?: boolean
    readonly moreTypes?: boolean
    readonly copyBuffers?: boolean
    readonly int64AsType?: 'auto'
  }
  export class Packr {
    constructor(options: PackrOptions)
    pack(value: unknown): Uint8Array<ArrayBuffer>
    unpack(bytes: Uint8Array): unknown
  }
}
