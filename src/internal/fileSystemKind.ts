/**
 * Which file systems keep the promise of `O_APPEND`. The magic numbers are those of statfs(2) and linux/magic.h.
 */

export interface FileSystemKind {
  /** `network`: another host picks the offset, records are lost. `memory`: gone with the machine. */
  readonly _tag: "network" | "memory" | "unknown" | "local"
  readonly name: string
}

const known: ReadonlyMap<number, FileSystemKind> = new Map<number, FileSystemKind>([
  [0x6969, { _tag: "network", name: "NFS" }],
  [0x517b, { _tag: "network", name: "SMB" }],
  [0xfe534d42, { _tag: "network", name: "SMB2" }],
  [0xff534d42, { _tag: "network", name: "CIFS" }],
  [0x01021997, { _tag: "network", name: "9p" }],
  [0x00c36400, { _tag: "network", name: "Ceph" }],
  [0x5346414f, { _tag: "network", name: "AFS" }],
  [0x73757245, { _tag: "network", name: "Coda" }],
  [0x564c, { _tag: "network", name: "NCP" }],
  [0x47504653, { _tag: "network", name: "GPFS" }],
  [0x0bd00bd0, { _tag: "network", name: "Lustre" }],
  [0x786f4256, { _tag: "network", name: "VirtualBox shared folder" }],
  [0x65735546, { _tag: "unknown", name: "FUSE" }],
  [0x01021994, { _tag: "memory", name: "tmpfs" }],
  [0x858458f6, { _tag: "memory", name: "ramfs" }]
])

/** Classifies the `f_type` of statfs. */
export const fileSystemKind = (type: number): FileSystemKind =>
  known.get(type >>> 0) ?? { _tag: "local", name: `0x${(type >>> 0).toString(16)}` }
