/**
 * What is done with a Python file handle from its opening to its end.
 */
import type { Shape } from "./pythonShape.ts"
import type { PyNode } from "./pythonTree.ts"

/** A call that writes through a handle. `calls`: writes on the file object that it makes for one record. */
export interface Write {
  readonly node: PyNode
  readonly payload: PyNode | undefined
  readonly shape: Shape
  readonly calls: number
  readonly loop: boolean
}

/** All that is done with a handle. */
export interface Life {
  readonly writes: ReadonlyArray<Write>
  readonly stored: boolean
  readonly passed: boolean
  readonly synced: boolean
  readonly seeksEnd: boolean
  /** The file is cut to nothing through the handle. */
  readonly empties: boolean
}
