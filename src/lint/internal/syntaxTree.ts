/**
 * Copies a syntax tree to plain objects: the parser's nodes live outside the JavaScript heap, and every look at one
 * crosses into it. One walk with a cursor takes what an analysis needs.
 */
import type { Tree } from "@vscode/tree-sitter-wasm"
import type { Span } from "../Site.ts"

/** A node that is kept. `field` is the name under which its parent holds it. */
export interface NodeParts<N> extends Span {
  readonly type: string
  readonly field: string | undefined
  readonly parent: N
}

/** A copied tree: its nodes by type, in the order of the text. */
export interface SyntaxTree<N> {
  readonly text: string
  readonly root: N
  readonly byType: ReadonlyMap<string, ReadonlyArray<N>>
  readonly unparsed: ReadonlyArray<Span>
}

interface Parent<N> {
  readonly parent: N | undefined
  readonly children: Array<N>
}

/** The number that the parser gives to a range it could not read. */
const errorTypeId = 65_535

/** Copies the named nodes, and the unnamed ones of the `operators`; of the types in `leaves`, nothing inside. */
export const copyTree = <N extends Parent<N>>(tree: Tree, text: string, options: {
  readonly root: N
  readonly make: (parts: NodeParts<N>) => N
  readonly operators: ReadonlySet<string>
  readonly leaves: ReadonlySet<string>
}): SyntaxTree<N> => {
  const { leaves, make, operators, root } = options
  const { fields, types } = tree.language
  const byType = new Map<string, Array<N>>()
  const unparsed: Array<Span> = []
  const wanted = new Map<number, boolean>()
  const cursor = tree.walk()
  let parent = root
  // No recursion: a line of ten thousand brackets is a tree of that depth.
  let inside = cursor.gotoFirstChild()
  while (inside) {
    const id = cursor.nodeTypeId
    const isError = id === errorTypeId
    const type = isError ? "ERROR" : types[id] ?? "unknown"
    let isWanted = wanted.get(id)
    if (isWanted === undefined) {
      isWanted = isError || tree.language.nodeTypeIsNamed(id) || operators.has(type)
      wanted.set(id, isWanted)
    }
    if (isWanted) {
      const { endIndex: end, startIndex: start } = cursor
      const node = make({ type, field: fields[cursor.currentFieldId] ?? undefined, parent, start, end })
      parent.children.push(node)
      const same = byType.get(type)
      if (same === undefined) byType.set(type, [node])
      else same.push(node)
      if (isError || start === end && cursor.nodeIsMissing) unparsed.push({ start, end })
      if (!leaves.has(type) && cursor.gotoFirstChild()) {
        parent = node
        continue
      }
    }
    while (!cursor.gotoNextSibling()) {
      if (parent === root || !cursor.gotoParent()) {
        inside = false
        break
      }
      parent = parent.parent ?? root
    }
  }
  cursor.delete()
  return { text, root, byType, unparsed }
}
