/**
 * Where the names and attributes of a Python file stand, and which of these places see a binding. Each question is
 * answered once, so that a file with thousands of handles of one name takes no more than a look at each.
 */
import type { Names } from "./pythonNames.ts"
import { around, field, type PyNode, type PyTree, textOf } from "./pythonTree.ts"

/** The places of a file. */
export interface Uses {
  /** Places of a name, or of an attribute under its name with a dot. */
  readonly places: (name: string) => ReadonlyArray<PyNode>
  /** Places that see what `binding` gives to `target`, a name or an attribute. */
  readonly of: (binding: PyNode, target: PyNode) => ReadonlyArray<PyNode>
}

/** The name of a place, with a dot if it is an attribute. */
export const placeName = (tree: PyTree, node: PyNode): string =>
  node.kind === "attribute" ? `.${textOf(tree, field(node, "attribute"))}` : textOf(tree, node)

export const makeUses = (names: Names): Uses => {
  const { tree } = names
  const byName = new Map<string, Array<PyNode>>()
  for (const node of tree.nodes) {
    if (node.kind !== "identifier" && node.kind !== "attribute") continue
    if (node.field === "attribute") continue
    const name = placeName(tree, node)
    const list = byName.get(name)
    if (list === undefined) byName.set(name, [node])
    else list.push(node)
  }
  const places = (name: string): ReadonlyArray<PyNode> => byName.get(name) ?? []

  const seen = new Map<string, Map<PyNode, Array<PyNode>>>()
  const seenUnder = (name: string): ReadonlyMap<PyNode, ReadonlyArray<PyNode>> => {
    const known = seen.get(name)
    if (known !== undefined) return known
    const found = new Map<PyNode, Array<PyNode>>()
    for (const place of places(name)) {
      for (const { node } of names.reaching(place)) {
        const list = found.get(node)
        if (list === undefined) found.set(node, [place])
        else list.push(place)
      }
    }
    seen.set(name, found)
    return found
  }

  /** Classes that bind an attribute themselves: they mean their own. */
  const owners = new Map<string, Set<PyNode | undefined>>()
  const ownersOf = (target: PyNode): ReadonlySet<PyNode | undefined> => {
    const name = placeName(tree, target)
    const known = owners.get(name)
    if (known !== undefined) return known
    const found = new Set(names.bindings(target).map(({ node }) => around(node, "class_definition")))
    owners.set(name, found)
    return found
  }

  return {
    places,
    of: (binding, target) => {
      const name = placeName(tree, target)
      if (target.kind !== "attribute") return seenUnder(name).get(binding) ?? []
      const owner = around(target, "class_definition")
      const others = ownersOf(target)
      return places(name).filter((place) => {
        const user = around(place, "class_definition")
        return user === owner || !others.has(user)
      })
    }
  }
}
