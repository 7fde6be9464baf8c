/**
 * Which file systems keep the promise of `O_APPEND`, and what people call them. The magic numbers are those of statfs(2) and linux/magic.h.
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
  [0x858458f6, { _tag: "memory", name: "ramfs" }],
  [0xef53, { _tag: "local", name: "ext4" }],
  [0x58465342, { _tag: "local", name: "xfs" }],
  [0x9123683e, { _tag: "local", name: "btrfs" }],
  [0x2fc12fc1, { _tag: "local", name: "zfs" }],
  [0xf2f52010, { _tag: "local", name: "f2fs" }],
  [0xca451a4e, { _tag: "local", name: "bcachefs" }],
  [0x794c7630, { _tag: "local", name: "overlayfs" }],
  [0x3153464a, { _tag: "local", name: "jfs" }],
  [0x52654973, { _tag: "local", name: "reiserfs" }],
  [0x4d44, { _tag: "local", name: "FAT" }],
  [0x2011bab0, { _tag: "local", name: "exFAT" }],
  [0x5346544e, { _tag: "local", name: "NTFS" }],
  [0x7366746e, { _tag: "local", name: "NTFS" }],
  [0xf15f, { _tag: "local", name: "eCryptfs" }]
])

/** Classifies the `f_type` of statfs. */
export const fileSystemKind = (type: number): FileSystemKind =>
  known.get(type >>> 0) ?? { _tag: "local", name: `0x${(type >>> 0).toString(16)}` }
