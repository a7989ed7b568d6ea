// Generated from the declarations of services/api by `cargo run --bin generate`.
// Changes here are lost.

/** A boolean as the API writes it. */
export type Flag = 0 | 1;

/** Version of the API and of the product. */
export type Version = {
  /** Version of the API; clients read its first number. */
  version: string;
  /** The first two numbers of the version. */
  release: string;
  /** Identifies the build, in hexadecimal. */
  repoid: string;
  /** Name and version of the product. */
  product: string;
};

/** A successful login. */
export type Ticket = {
  /** Who is logged in. */
  username: string;
  /** Goes into the cookie `PVEAuthCookie`; valid for two hours. With `NeedTFA` it is no ticket
   * but a challenge, valid for five minutes. */
  ticket: string;
  /** Goes into the header of the same name with every call that changes something. */
  CSRFPreventionToken?: string;
  /** The password is right, and a second factor is due: log in again with the challenge as
   * `tfa-challenge` and the answer as `password`: `totp:123456`, `recovery:CODE`, or `webauthn:`
   * and what the browser says as JSON. */
  NeedTFA?: Flag;
  /** Privileges by kind of object, for what an interface should offer. */
  cap: Record<string, Record<string, Flag>>;
};

/** A realm that users can log in to. */
export type Realm = {
  /** Name. */
  realm: string;
  /** Kind. */
  type: RealmType;
  /** Description. */
  comment?: string;
  /** Whether a login page should choose it first. */
  default?: Flag;
  /** Kind of the second factor that everybody of the realm must have. */
  tfa?: string;
};

/** Kind of a realm. */
export type RealmType = "pam" | "pve" | "ldap" | "ad" | "openid";

/** A realm with all that is configured but secrets. */
export type RealmInfo = {
  /** Kind. */
  type: RealmType;
  /** Digest of the configuration of all realms. */
  digest: string;
  /** Description. */
  comment?: string;
  /** Whether a login page should choose it first; takes that from the realm that had it. */
  default?: Flag;
  /** Second factor that everybody of the realm must have: `type=oath[,digits=6][,step=30]`; a
   * security key does as well. */
  tfa?: string;
  /** Name or address of the server. */
  server1?: string;
  /** Name or address of the server that is asked when the first cannot be reached. */
  server2?: string;
  /** Port (default 636 for `ldaps`, else 389). */
  port?: number;
  /** How the server is reached (default `ldap`). */
  mode?: DirectoryMode;
  /** Older spelling of `mode`: 1 is `ldaps`. */
  secure?: Flag;
  /** Whether the server's certificate must be valid and made out to its name. Default 0, as in
   * Proxmox VE: then whoever is on the way can pose as the server and read every password. Set
   * it to 1 wherever the server has a certificate. */
  verify?: Flag;
  /** File, or for directories also folder, of the authorities that are believed (default those of
   * the host, in /etc/ssl/certs). */
  capath?: string;
  /** Whether upper and lower case differ in user names (default 1). */
  "case-sensitive"?: Flag;
  /** DNS name of the domain, for `ad`: users bind as name@domain. */
  domain?: string;
  /** Where users are, for `ldap`; for `ad` only a synchronisation needs it. */
  base_dn?: string;
  /** Who searches; without, the search is anonymous. */
  bind_dn?: string;
  /** Attribute with the user's name (for `ad` default sAMAccountName). */
  user_attr?: string;
  /** Filter that users must pass to be synchronised. */
  filter?: string;
  /** Object classes of users (default inetorgperson, posixaccount, person, user). */
  user_classes?: string;
  /** What of a user comes from which attribute: `email=mail,firstname=givenName,…`. */
  sync_attributes?: string;
  /** Where groups are (default base_dn). */
  group_dn?: string;
  /** Filter that groups must pass to be synchronised. */
  group_filter?: string;
  /** Attribute with the group's name (default the first part of its DN). */
  group_name_attr?: string;
  /** Object classes of groups (default groupOfNames, group, univentionGroup, ipausergroup). */
  group_classes?: string;
  /** What a synchronisation does unless told:
   * `scope=users|groups|both,remove-vanished=acl;entry;properties|none,enable-new=0|1`. */
  "sync-defaults-options"?: string;
  /** Address of the provider, `https://…`, as it calls itself. */
  "issuer-url"?: string;
  /** Who Basalt is at the provider. */
  "client-id"?: string;
  /** Claim with a user's name: `subject` (default), `username`, `email` or any other; it cannot be
   * changed. */
  "username-claim"?: string;
  /** Whether whoever is new here gets an account, without any permission (default 0). */
  autocreate?: Flag;
  /** What the provider is asked for besides `openid` (default `email profile`). */
  scopes?: string;
  /** Whether and what the provider asks the user: `none`, `login`, `consent`, `select_account`. */
  prompt?: string;
  /** What kinds of login are wanted of the provider. */
  "acr-values"?: string;
  /** Whether the provider is asked for claims that are not in its token (default 1). */
  "query-userinfo"?: Flag;
  /** Claim with the names of the user's groups, which are called NAME-REALM here. */
  "groups-claim"?: string;
  /** Whether groups that are not here are made (default 0). */
  "groups-autocreate"?: Flag;
  /** Whether a user leaves, at each login, every group that is not named (default 0). */
  "groups-overwrite"?: Flag;
};

/** How a directory is reached. */
export type DirectoryMode = "ldap" | "ldaps" | "ldap+starttls";

/** A user's second factors. */
export type UserFactors = {
  /** The user. */
  userid: string;
  /** The factors. */
  entries: Array<Factor>;
  /** Whether too many wrong time-based codes were given: none is taken until a recovery code
   * or an administrator unlocks them. */
  "totp-locked"?: Flag;
};

/** A second factor of a user. */
export type Factor = {
  /** Its id. */
  id: string;
  /** Kind. */
  type: FactorType;
  /** What the user calls it. */
  description: string;
  /** When it was made, in seconds since 1970. */
  created: number;
  /** Whether it counts. */
  enable: Flag;
};

/** Kind of a second factor. */
export type FactorType = "totp" | "recovery" | "webauthn";

/** A second factor that was made. */
export type FactorMade = {
  /** Its id; none when a challenge is due first. */
  id?: string;
  /** For `webauthn`: options of `navigator.credentials.create`, as JSON with base64url for bytes. */
  challenge?: string;
  /** For `recovery`: the codes, which are shown this once. */
  recovery?: Array<string>;
};

/** What kinds of second factors a user has. */
export type FactorTypes = {
  /** What the realm demands. */
  realm?: string;
  /** What the user has, unless `multiple`: `oath` for time-based codes. */
  user?: string;
  /** What the user has; only with `multiple`. */
  types?: Array<FactorType>;
};

/** A user in a list. */
export type UserEntry = {
  /** The user, name@realm. */
  userid: string;
  /** Kind of the realm. */
  "realm-type"?: RealmType;
  /** Groups, separated by commas; only with `full`. */
  groups?: string;
  /** API tokens; only with `full`. */
  tokens?: Array<TokenEntry>;
  /** Whether the user can log in (default 1). */
  enable?: Flag;
  /** When the account ends, in seconds since 1970; 0 is never. */
  expire?: number;
  /** First name. */
  firstname?: string;
  /** Last name. */
  lastname?: string;
  /** Address for mail. */
  email?: string;
  /** Description. */
  comment?: string;
};

/** An API token in a list. */
export type TokenEntry = {
  /** Name of the token. */
  tokenid: string;
  /** When the token ends, in seconds since 1970; 0 is never. */
  expire: number;
  /** Whether the token has permissions of its own, at most the user's. */
  privsep: Flag;
  /** Description. */
  comment?: string;
};

/** A user with groups and tokens. */
export type User = {
  /** Groups. */
  groups: Array<string>;
  /** API tokens by name. */
  tokens: Record<string, TokenInfo>;
  /** Whether the user can log in (default 1). */
  enable?: Flag;
  /** When the account ends, in seconds since 1970; 0 is never. */
  expire?: number;
  /** First name. */
  firstname?: string;
  /** Last name. */
  lastname?: string;
  /** Address for mail. */
  email?: string;
  /** Description. */
  comment?: string;
};

/** What describes an API token. */
export type TokenInfo = {
  /** When the token ends, in seconds since 1970; 0 is never. */
  expire: number;
  /** Whether the token has permissions of its own, at most the user's. */
  privsep: Flag;
  /** Description. */
  comment?: string;
};

/** A new API token with its secret, which is shown this once. */
export type TokenSecret = {
  /** The whole id, user@realm!name. */
  "full-tokenid": string;
  /** What describes the token. */
  info: TokenInfo;
  /** The secret. */
  value: string;
};

/** A group in a list. */
export type GroupEntry = {
  /** Name of the group. */
  groupid: string;
  /** Members, separated by commas. */
  users: string;
  /** Description. */
  comment?: string;
};

/** A group with its members. */
export type Group = {
  /** Members. */
  members: Array<string>;
  /** Description. */
  comment?: string;
};

/** A role in a list. */
export type RoleEntry = {
  /** Name of the role. */
  roleid: string;
  /** Privileges, separated by commas. */
  privs: string;
  /** Whether it is built in and cannot be changed. */
  special: Flag;
};

/** One role of one user, group or token on one path. */
export type AclEntry = {
  /** Path. */
  path: string;
  /** Kind of `ugid`. */
  type: AclKind;
  /** User, group or token. */
  ugid: string;
  /** Role. */
  roleid: string;
  /** Whether it holds for what lies below, too. */
  propagate: Flag;
};

/** Who an entry is about. */
export type AclKind = "user" | "group" | "token";

/** A pool in a list. */
export type PoolEntry = {
  /** Name of the pool. */
  poolid: string;
  /** Description. */
  comment?: string;
  /** What is in it; only when one pool is asked for. */
  members?: Array<Resource>;
};

/** A node, guest, storage or pool. */
export type Resource = {
  /** Unique: `node/a`, `qemu/100`, `lxc/101`, `storage/a/local`, `/pool/dev`. */
  id: string;
  /** Kind. */
  type: ResourceKind;
  /** Node that it is on; a pool is on none. */
  node?: string;
  /** State: online, running, stopped, available, …; a pool has none. */
  status?: string;
  /** Pool of a guest, or the name of a pool. */
  pool?: string;
  /** Name of a guest. */
  name?: string;
  /** Number of a guest. */
  vmid?: number;
  /** Whether a guest is a template. */
  template?: Flag;
  /** What holds a guest. */
  lock?: string;
  /** Tags of a guest, separated by ';'. */
  tags?: string;
  /** Load, as a part of `maxcpu` from 0 to 1. */
  cpu?: number;
  /** Processors. */
  maxcpu?: number;
  /** Memory in use in bytes. */
  mem?: number;
  /** Memory in bytes. */
  maxmem?: number;
  /** Disk space in use in bytes. */
  disk?: number;
  /** Disk space in bytes. */
  maxdisk?: number;
  /** Bytes read from disks since the start. */
  diskread?: number;
  /** Bytes written to disks since the start. */
  diskwrite?: number;
  /** Bytes received since the start. */
  netin?: number;
  /** Bytes sent since the start. */
  netout?: number;
  /** Seconds since the start. */
  uptime?: number;
  /** Name of a storage. */
  storage?: string;
  /** Driver of a storage. */
  plugintype?: string;
  /** What may lie on a storage, separated by commas. */
  content?: string;
  /** Whether all nodes see the same volumes of a storage. */
  shared?: Flag;
  /** Level of support of a node; empty. */
  level?: string;
};

/** Kind of a resource. */
export type ResourceKind = "node" | "qemu" | "lxc" | "storage" | "pool";

/** A pool. */
export type Pool = {
  /** Description. */
  comment?: string;
  /** What is in it. */
  members: Array<Resource>;
};

/** Something that somebody did or tried. */
export type LogEntry = {
  /** Tells entries of one answer apart; the newest is 1. */
  uid: number;
  /** When, in seconds since 1970. */
  time: number;
  /** Name of the node. */
  node: string;
  /** User or token. */
  user: string;
  /** Severity as in syslog: 6 for what was done, 4 for what was refused or failed. */
  pri: number;
  /** What wrote the entry. */
  tag: string;
  /** What was done, from which address, and why not if it was not. */
  msg: string;
};

/** A node, or the cluster itself. */
export type ClusterEntry = {
  /** Name. */
  name: string;
  /** `node/` and the name, or `cluster`. */
  id: string;
  /** `node` or `cluster`. */
  type: string;
  /** Number of a node. */
  nodeid?: number;
  /** Address of a node. */
  ip?: string;
  /** Whether a node answers. */
  online?: Flag;
  /** Whether this node answered the call. */
  local?: Flag;
  /** Level of support; empty. */
  level?: string;
  /** Number of nodes of a cluster. */
  nodes?: number;
  /** Whether a cluster has a majority. */
  quorate?: Flag;
  /** Version of a cluster's configuration. */
  version?: number;
};

/** Options of the whole cluster. */
export type ClusterOptions = {
  /** Kind of console an interface should open. */
  console?: "applet" | "vv" | "html5" | "xtermjs";
  /** Keyboard layout that an interface should take for granted. */
  keyboard?: "de" | "de-ch" | "da" | "en-gb" | "en-us" | "es" | "fi" | "fr" | "fr-be" | "fr-ca" | "fr-ch" | "hu" | "is" | "it" | "ja" | "lt" | "mk" | "nl" | "no" | "pl" | "pt" | "pt-br" | "sv" | "sl" | "tr";
  /** Language that an interface should take for granted. */
  language?: "ar" | "ca" | "da" | "de" | "en" | "es" | "eu" | "fa" | "fr" | "hr" | "he" | "it" | "ja" | "ka" | "kr" | "nb" | "nl" | "nn" | "pl" | "pt_BR" | "ru" | "sl" | "sv" | "tr" | "ukr" | "zh_CN" | "zh_TW";
  /** First bytes of hardware addresses that are made up (default BC:24:11). */
  mac_prefix?: string;
  /** Numbers to look among for a free one: `lower=100,upper=1000000`, without the upper. */
  "next-id"?: string;
  /** Free text about the cluster. */
  description?: string;
};

/** A member of the cluster's configuration. */
export type ConfiguredNode = {
  /** Name of the node. */
  node: string;
};

/** Settings of the cluster by name. */
export type ClusterSettings = Record<string, string>;

/** A child of a folder of the API. */
export type Child = {
  /** Name. */
  subdir: string;
};

/** A mapped directory. */
export type DirMappingInfo = {
  /** Name of the mapping. */
  id: string;
  /** Description. */
  description?: string;
  /** Where it lies on each node. */
  map: Array<string>;
  /** What is wrong with it; only when a node was asked for. */
  checks?: Array<MappingCheck>;
  /** Changes with every change. */
  digest: string;
};

/** Something about a mapping on the node that was asked for. */
export type MappingCheck = {
  /** How bad it is. */
  severity: Severity;
  /** What it is. */
  message: string;
};

/** How bad something about a mapping is. */
export type Severity = "warning" | "error";

/** A node in a list. */
export type NodeEntry = {
  /** Name. */
  node: string;
  /** Always `node`. */
  type: string;
  /** `node/` and the name. */
  id: string;
  /** Whether it answers. */
  status: NodeState;
  /** Load, as a part of `maxcpu` from 0 to 1. */
  cpu: number;
  /** Logical processors. */
  maxcpu: number;
  /** Memory in use in bytes. */
  mem: number;
  /** Memory in bytes. */
  maxmem: number;
  /** Bytes in use on the data partition. */
  disk: number;
  /** Size of the data partition in bytes. */
  maxdisk: number;
  /** Seconds since the boot. */
  uptime: number;
  /** Level of support; empty. */
  level: string;
  /** SHA-256 of the certificate. */
  ssl_fingerprint?: string;
};

/** Whether a node answers. */
export type NodeState = "online" | "offline";

/** State and figures of a node. */
export type NodeStatus = {
  /** Load from 0 to 1. */
  cpu: number;
  /** Part of the time spent waiting for disks, from 0 to 1. */
  wait: number;
  /** Processors. */
  cpuinfo: CpuInfo;
  /** Load averages over 1, 5 and 15 minutes. */
  loadavg: Array<string>;
  /** Memory. */
  memory: Usage;
  /** Swap space. */
  swap: Usage;
  /** The data partition, which holds all that can change. */
  rootfs: Usage;
  /** Seconds since the boot. */
  uptime: number;
  /** Bytes received on all network cards since the boot. */
  netin: number;
  /** Bytes sent on all network cards since the boot. */
  netout: number;
  /** Name and version of the kernel. */
  kversion: string;
  /** The kernel. */
  "current-kernel": KernelInfo;
  /** Name and version of the product. */
  pveversion: string;
  /** How it booted. */
  "boot-info": BootInfo;
  /** The mirror of its system disks, when it has two. */
  mirror?: MirrorInfo;
};

/** The processors of a node. */
export type CpuInfo = {
  /** Model name. */
  model: string;
  /** Sockets. */
  sockets: number;
  /** Cores in all. */
  cores: number;
  /** Logical processors. */
  cpus: number;
  /** Clock rate in MHz. */
  mhz: string;
  /** Flags, separated by blanks. */
  flags: string;
  /** Virtualization the processors offer: 1 when any. */
  hvm: string;
};

/** Bytes in use and in all. */
export type Usage = {
  /** In all. */
  total: number;
  /** In use. */
  used: number;
  /** Free. */
  free: number;
  /** Free for new use, caches counted. */
  available?: number;
  /** Free for ordinary users, for a file system. */
  avail?: number;
};

/** The kernel of a node. */
export type KernelInfo = {
  /** Machine, e.g. `x86_64`. */
  machine: string;
  /** Release, as `uname -r` shows. */
  release: string;
  /** System, `Linux`. */
  sysname: string;
  /** Version, as `uname -v` shows. */
  version: string;
};

/** How a node booted. */
export type BootInfo = {
  /** `efi` or `legacy-bios`. */
  mode: string;
  /** Whether secure boot is on. */
  secureboot?: Flag;
};

/** The mirror of a node's system disks. */
export type MirrorInfo = {
  /** Whether both disks have everything. */
  whole: Flag;
  /** The same in words. */
  text: string;
  /** How much of a disk that is being brought up to date is done. */
  percent?: number;
  /** Its members. */
  members: Array<MirrorMember>;
};

/** A member of the mirror of a node's system disks. */
export type MirrorMember = {
  /** The partition. */
  device: string;
  /** `whole`, `recovering` or `failed`. */
  state: string;
};

/** Settings of a node as they are. */
export type NodeConfigShown = {
  /** What happens to running virtual machines that do not say themselves when the node goes
   * down (default: they are shut down). */
  "on-host-shutdown"?: "shutdown" | "suspend";
  /** Free text about the node. */
  description?: string;
  /** Who orders the node's certificate, and names that are proved by a page on port 80. */
  acme?: string;
  /** Changes whenever the settings do; give it back with a change to be sure that nobody changed
   * them in between. */
  digest?: string;
  /** A name of the node's certificate, and which plugin proves it. */
  [key: `acmedomain${number}`]: string | undefined;
};

/** The time of a node. */
export type NodeTime = {
  /** Time zone. */
  timezone: string;
  /** Seconds since 1970. */
  time: number;
  /** Seconds since 1970 as if the local time were universal time. */
  localtime: number;
};

/** Name servers of a node. */
export type NodeDns = {
  /** Domain that short names are searched in. */
  search?: string;
  /** First name server. */
  dns1?: string;
  /** Second name server. */
  dns2?: string;
  /** Third name server. */
  dns3?: string;
};

/** Support contract; Basalt knows none. */
export type Subscription = {
  /** Always `notfound`. */
  status: string;
  /** What that means. */
  message: string;
};

/** A network interface of a node. */
export type NetworkInterface = {
  /** Name. */
  iface: string;
  /** Kind: eth, bridge, bond or vlan. */
  type: string;
  /** Whether it is up. */
  active: Flag;
  /** Whether it comes up with the host. */
  autostart: Flag;
  /** Whether the hardware is there. */
  exists?: Flag;
  /** How it gets its IPv4 address: static, dhcp or manual. */
  method: string;
  /** How it gets its IPv6 address. */
  method6: string;
  /** IPv4 address. */
  address?: string;
  /** IPv4 prefix length. */
  netmask?: string;
  /** IPv4 address with prefix length. */
  cidr?: string;
  /** IPv4 gateway. */
  gateway?: string;
  /** IPv6 address. */
  address6?: string;
  /** IPv6 prefix length. */
  netmask6?: number;
  /** IPv6 address with prefix length. */
  cidr6?: string;
  /** IPv6 gateway. */
  gateway6?: string;
  /** Members of a bridge, separated by blanks. */
  bridge_ports?: string;
  /** Hardware address. */
  hwaddr?: string;
  /** Families it is configured for. */
  families: Array<string>;
  /** Place in the list. */
  priority: number;
};

/** How a service is. */
export type ServiceInfo = {
  /** Name. */
  name: ServiceName;
  /** Name, once more. */
  service: ServiceName;
  /** Description. */
  desc: string;
  /** What it does: running, exited, dead, failed, …. */
  state: string;
  /** The same more coarsely: active, inactive, failed, …. */
  "active-state": string;
  /** Whether it starts with the host: enabled, static, disabled, …. */
  "unit-state": string;
};

/** A service of a node. */
export type ServiceName = "basalt-gateway" | "basalt-node" | "dbus" | "sshd" | "systemd-journald" | "systemd-networkd" | "systemd-resolved" | "systemd-timesyncd" | "systemd-udevd";

/** A line of the journal. */
export type SyslogLine = {
  /** Its number. */
  n: number;
  /** Its text. */
  t: string;
};

/** A file of a node. */
export type HostsFile = {
  /** Its content. */
  data: string;
  /** Changes whenever the content does. */
  digest: string;
};

/** Bytes through a card of a guest. */
export type PortTraffic = {
  /** Number of the guest. */
  vmid: number;
  /** Setting of the card, e.g. `net0`. */
  dev: string;
  /** Bytes that the guest received. */
  in: number;
  /** Bytes that the guest sent. */
  out: number;
};

/** A disk or partition. */
export type DiskInfo = {
  /** Path of the device. */
  devpath: string;
  /** Size in bytes. */
  size: number;
  /** Kind: ssd, hdd, nvme, usb, partition or unknown. */
  type: string;
  /** What is on it: partitions, LVM, a file system, …; absent when nothing is. */
  used?: string;
  /** Whether it, or a part of it, is mounted. */
  mounted: Flag;
  /** Whether it has a GUID partition table. */
  gpt: Flag;
  /** Model. */
  model?: string;
  /** Serial number. */
  serial?: string;
  /** Maker. */
  vendor?: string;
  /** World-wide name. */
  wwn?: string;
  /** A name that stays with the device. */
  by_id_link?: string;
  /** Rotations a minute: 0 for what does not turn, -1 when not known. */
  rpm: number;
  /** The disk of a partition. */
  parent?: string;
  /** What it says of itself. */
  health: DiskHealth;
  /** How much of its life is left, in percent. */
  wearout: Wearout;
  /** Always -1: there is no Ceph. */
  osdid: number;
};

/** What a disk says of itself (SMART). */
export type DiskHealth = "PASSED" | "FAILED" | "UNKNOWN";

/** How much of a disk's life is left. */
export type Wearout = number | NotAvailable;

/** Stands where there is no number. */
export type NotAvailable = "N/A";

/** How a disk is, as it says itself. */
export type SmartReport = {
  /** Whether it is well. */
  health: DiskHealth;
  /** How the rest is told. */
  type?: SmartKind;
  /** What an ATA disk counts. */
  attributes?: Array<SmartAttribute>;
  /** What another disk counts, as text for people. */
  text?: string;
  /** How much of its life is left, in percent. */
  wearout?: number;
};

/** How a disk tells what it counts. */
export type SmartKind = "ata" | "text";

/** Something that an ATA disk counts. */
export type SmartAttribute = {
  /** Its number, right-aligned in three characters. */
  id: string;
  /** Its name. */
  name: string;
  /** Letters for its kinds: P (of the health), O, S, R, C, K; a dash where one is not. */
  flags: string;
  /** How good it is: the less, the worse. */
  value: number;
  /** The same. */
  normalized: number;
  /** How bad it was at worst. */
  worst: number;
  /** At this value, or below, the disk is failing. */
  threshold: number;
  /** When it was at the threshold: `NOW`, `Past`, or `-` for never. */
  fail: string;
  /** What is counted, as its maker counts. */
  raw: string;
};

/** A PCI device. */
export type PciDevice = {
  /** Address, `0000:00:02.0`. */
  id: string;
  /** Class in hexadecimal. */
  class?: string;
  /** Vendor in hexadecimal. */
  vendor?: string;
  /** Device in hexadecimal. */
  device?: string;
  /** Vendor of the card in hexadecimal. */
  subsystem_vendor?: string;
  /** Card in hexadecimal. */
  subsystem_device?: string;
  /** Name of the vendor. */
  vendor_name?: string;
  /** Name of the device. */
  device_name?: string;
  /** Devices of one group can be given away only together; -1 without an IOMMU. */
  iommugroup?: number;
  /** Whether it can be divided among guests. */
  mdev?: Flag;
};

/** What can be asked about a PCI device. */
export type PciMethod = {
  /** The last part of the path. */
  method: string;
};

/** A kind of parts into which a device can be divided among guests. */
export type MdevType = {
  /** Its name for the kernel. */
  type: string;
  /** How many more there can be. */
  available: number;
  /** What it is. */
  description: string;
  /** Its name for people. */
  name?: string;
};

/** A USB device. */
export type UsbDevice = {
  /** Number of the bus. */
  busnum: number;
  /** Number on the bus. */
  devnum: number;
  /** Class. */
  class: number;
  /** Depth below the root. */
  level: number;
  /** Port of the hub. */
  port: number;
  /** Where it is plugged in, e.g. `1.2`; a root hub is nowhere. */
  usbpath?: string;
  /** Vendor in hexadecimal. */
  vendid: string;
  /** Product in hexadecimal. */
  prodid: string;
  /** Megabits a second. */
  speed: string;
  /** Name of the maker. */
  manufacturer?: string;
  /** Name of the product. */
  product?: string;
  /** Serial number. */
  serial?: string;
};

/** A processor that a virtual machine can have. */
export type CpuModel = {
  /** Name. */
  name: string;
  /** Maker. */
  vendor: string;
  /** Whether somebody here made it up. */
  custom: Flag;
};

/** A feature that the processors of a virtual machine can have beside those of their model, or lack. */
export type CpuFeature = {
  /** Name. */
  name: string;
  /** What it is. */
  description: string;
};

/** What a move to another node takes along. */
export type MigrationAbility = {
  /** Whether it can be the state of the host's firewall; it cannot. */
  "has-dbus-vmstate": Flag;
};

/** A machine that a virtual machine can be. */
export type MachineModel = {
  /** Name. */
  id: string;
  /** Kind. */
  type: string;
  /** Version. */
  version: string;
};

/** The volume groups of a node, as the root of a tree. */
export type VolumeGroups = {
  /** Whether it is the end of a branch; it is the root. */
  leaf: Flag;
  /** The groups. */
  children: Array<VolumeGroup>;
};

/** A volume group of LVM. */
export type VolumeGroup = {
  /** Its name. */
  name: string;
  /** Whether it is the end of a branch; it is not. */
  leaf: Flag;
  /** Size in bytes. */
  size: number;
  /** What no logical volume has, in bytes. */
  free: number;
  /** The disks and partitions that it is made of. */
  children: Array<PhysicalVolume>;
};

/** A disk or partition that belongs to a volume group. */
export type PhysicalVolume = {
  /** Path of the device. */
  name: string;
  /** Whether it is the end of a branch; it is. */
  leaf: Flag;
  /** Size in bytes. */
  size: number;
  /** What no logical volume has, in bytes. */
  free: number;
};

/** A thin pool of LVM. */
export type ThinPool = {
  /** Its name. */
  lv: string;
  /** Its volume group. */
  vg: string;
  /** Size in bytes. */
  lv_size: number;
  /** Bytes in use. */
  used: number;
  /** Size of its own records in bytes. */
  metadata_size: number;
  /** Bytes that its own records take. */
  metadata_used: number;
};

/** A pool of ZFS. */
export type ZfsPool = {
  /** Its name. */
  name: string;
  /** Size in bytes. */
  size: number;
  /** Bytes in use. */
  alloc: number;
  /** Free bytes. */
  free: number;
  /** How much the free room is in pieces, in percent. */
  frag: number;
  /** How many times more is stored than room taken, by blocks that are alike. */
  dedup: number;
  /** Its state: ONLINE, DEGRADED, FAULTED, …. */
  health: string;
};

/** How a pool of ZFS is. */
export type ZfsPoolDetail = {
  /** Its name. */
  name: string;
  /** Its state: ONLINE, DEGRADED, FAULTED, …. */
  state: string;
  /** What is the matter with it, if something is. */
  status?: string;
  /** What to do about that. */
  action?: string;
  /** The last check or repair of all data. */
  scan?: string;
  /** Which data is lost. */
  errors: string;
  /** What it is made of. */
  children: Array<ZfsDevice>;
};

/** A part of a pool of ZFS: a group of parts, or a device. */
export type ZfsDevice = {
  /** Its name, or the path of the device. */
  name: string;
  /** Its state. */
  state?: string;
  /** Failed reads. */
  read?: number;
  /** Failed writes. */
  write?: number;
  /** Blocks whose checksum was wrong. */
  cksum?: number;
  /** What else is to be said. */
  msg: string;
  /** Whether it has no parts. */
  leaf: Flag;
  /** Its parts. */
  children?: Array<ZfsDevice>;
};

/** A mapping in a list. */
export type PciMappingEntry = {
  /** Name of the mapping. */
  id: string;
  /** Description. */
  description?: string;
  /** Devices. */
  map: Array<string>;
  /** What is wrong with it on the node that was asked about. */
  checks?: Array<PciMappingCheck>;
};

/** What is wrong with a mapping. */
export type PciMappingCheck = {
  /** How bad it is. */
  severity: CheckSeverity;
  /** What it is. */
  message: string;
};

/** How bad something is. */
export type CheckSeverity = "warning" | "error";

/** A mapping. */
export type PciMappingInfo = {
  /** Name of the mapping. */
  id: string;
  /** Description. */
  description?: string;
  /** Devices. */
  map: Array<string>;
  /** For changes that must meet what was read. */
  digest: string;
};

/** A certificate. */
export type Certificate = {
  /** Name of its file. */
  filename: string;
  /** SHA-256, `AB:CD:…`. */
  fingerprint: string;
  /** Whose it is. */
  subject: string;
  /** Who signed it. */
  issuer: string;
  /** Beginning of its validity in seconds since 1970. */
  notbefore: number;
  /** End of its validity in seconds since 1970. */
  notafter: number;
  /** Names and addresses that it is for. */
  san: Array<string>;
  /** Kind of key. */
  "public-key-type": string;
  /** Size of the key. */
  "public-key-bits": number;
  /** The certificate itself. */
  pem: string;
};

/** An account in a list. */
export type AcmeAccountEntry = {
  /** Name. */
  name: string;
};

/** An account. */
export type AcmeAccount = {
  /** What the authority says about it. */
  account: Record<string, never>;
  /** Address of the authority's directory. */
  directory: string;
  /** Address of the account. */
  location: string;
  /** Address of the terms of service that were agreed to. */
  tos?: string;
};

/** What an authority says about itself. */
export type AcmeMeta = {
  /** Names that CAA records know it by. */
  caaIdentities?: Array<string>;
  /** Whether it takes only accounts of its customers. */
  externalAccountRequired?: Flag;
  /** Address of its terms of service. */
  termsOfService?: string;
  /** Address of a page about it. */
  website?: string;
};

/** A well-known authority. */
export type AcmeDirectory = {
  /** Name. */
  name: string;
  /** Address of its directory. */
  url: string;
};

/** A hook that plugins can use. */
export type AcmeChallengeSchema = {
  /** What `api` of a plugin says. */
  id: string;
  /** Name. */
  name: string;
  /** What its data may have; hooks do not say. */
  schema: Record<string, never>;
  /** Always `dns`. */
  type: AcmePluginType;
};

/** How a plugin proves names. */
export type AcmePluginType = "dns" | "standalone";

/** A plugin. */
export type AcmePlugin = {
  /** Name. */
  plugin: string;
  /** How it proves names. */
  type: AcmePluginType;
  /** The hook that sets records: the name of a program in /var/lib/basalt/acme/hooks. */
  api?: string;
  /** What the hook is given on its standard input: lines KEY=value, in base64. */
  data?: string;
  /** Do not use it. */
  disable?: Flag;
  /** Nodes that may use it, separated by commas (default all). */
  nodes?: string;
  /** Seconds until everybody can see a record (default 30). */
  "validation-delay"?: number;
  /** Changes whenever the plugin does. */
  digest: string;
};

/** A task in a list. */
export type TaskEntry = {
  /** Id of the task. */
  upid: string;
  /** Node that runs it. */
  node: string;
  /** Process that started it. */
  pid: number;
  /** Tells tasks of one process apart. */
  pstart: number;
  /** When it started, in seconds since 1970. */
  starttime: number;
  /** Kind of task, e.g. `qmstart`. */
  type: string;
  /** What it works on, e.g. a guest's number. */
  id: string;
  /** Who started it. */
  user: string;
  /** When it ended; absent while it runs. */
  endtime?: number;
  /** `OK`, `WARNINGS: n` or what went wrong; absent while it runs. */
  status?: string;
};

/** State of a task. */
export type TaskStatus = {
  /** Id of the task. */
  upid: string;
  /** Node that runs it. */
  node: string;
  /** Process that started it. */
  pid: number;
  /** Tells tasks of one process apart. */
  pstart: number;
  /** When it started, in seconds since 1970. */
  starttime: number;
  /** Kind of task, e.g. `qmstart`. */
  type: string;
  /** What it works on, e.g. a guest's number. */
  id: string;
  /** Who started it. */
  user: string;
  /** The API token that started it, if one did. */
  tokenid?: string;
  /** Whether it runs. */
  status: TaskState;
  /** `OK`, `WARNINGS: n` or what went wrong; absent while it runs. */
  exitstatus?: string;
  /** How far it is, from 0 to 100, when that is known. */
  progress?: number;
};

/** Whether a task runs. */
export type TaskState = "running" | "stopped";

/** A line of a log. */
export type LogLine = {
  /** Its number, from 1. */
  n: number;
  /** Its text. */
  t: string;
};

/** What the slots of a node hold. */
export type UpdateStatus = {
  /** The version that runs. */
  version: string;
  /** Both slots. */
  slots: Array<UpdateSlot>;
  /** A version that was tried and left behind by itself. */
  failure?: UpdateFailure;
};

/** One slot. */
export type UpdateSlot = {
  /** Its letter, a or b. */
  slot: string;
  /** The version in it. */
  version?: string;
  /** Whether it runs. */
  running: Flag;
  /** What the boot loader makes of it. */
  state: SlotState;
  /** Boots left for a version on trial. */
  "tries-left"?: number;
};

/** What the boot loader makes of a slot. */
export type SlotState = "empty" | "trial" | "good" | "failed";

/** A version that was tried and left behind. */
export type UpdateFailure = {
  /** The version. */
  version: string;
  /** Why; empty when it did not get far enough to say. */
  reasons: Array<string>;
};

/** What the channel of a node has. */
export type UpdateAvailable = {
  /** The channel that is followed. */
  channel: UpdateChannel;
  /** Its latest version; none when no place is configured that updates come from. */
  version?: string;
  /** Whether that is newer than what runs. */
  newer: Flag;
};

/** Which releases a node follows. */
export type UpdateChannel = "stable" | "testing";

/** Where updates come from. */
export type UpdateConfig = {
  /** Folder on a web server that has the latest bundle of each channel. */
  url?: string;
  /** The channel that is followed. */
  channel: UpdateChannel;
  /** Certificates (PEM) of authorities that vouch for the server, besides the usual ones. */
  ca?: string;
};

/** The configuration of a storage. */
export type StorageInfo = {
  /** Name. */
  storage: string;
  /** Driver, e.g. `dir`. */
  type: "dir" | "lvmthin" | "zfspool";
  /** What may lie on it, separated by commas. */
  content: string;
  /** Directory of a `dir` storage. */
  path?: string;
  /** Volume group of an `lvmthin` storage. */
  vgname?: string;
  /** Thin pool of an `lvmthin` storage. */
  thinpool?: string;
  /** Dataset of a `zfspool` storage. */
  pool?: string;
  /** Block size of new volumes of a `zfspool` storage. */
  blocksize?: string;
  /** Whether new volumes of a `zfspool` storage take no room before they are written. */
  sparse?: Flag;
  /** Whether all nodes see the same volumes. */
  shared?: Flag;
  /** Nodes that have it, separated by commas; otherwise all. */
  nodes?: string;
  /** Whether it is switched off. */
  disable?: Flag;
  /** Changes whenever the configuration does. */
  digest: string;
};

/** A storage that was made. */
export type StorageMade = {
  /** Name. */
  storage: string;
  /** Driver. */
  type: "dir" | "lvmthin" | "zfspool";
};

/** State and space of a storage on a node. */
export type StorageStatus = {
  /** Name. */
  storage: string;
  /** Driver, e.g. `dir`. */
  type: "dir" | "lvmthin" | "zfspool";
  /** What may lie on it, separated by commas. */
  content: string;
  /** Whether it is reachable. */
  active: Flag;
  /** Whether it is switched on. */
  enabled: Flag;
  /** Whether all nodes see the same volumes. */
  shared: Flag;
  /** Size in bytes. */
  total: number;
  /** Bytes in use. */
  used: number;
  /** Bytes free. */
  avail: number;
  /** `used` as a part of `total`, from 0 to 1. */
  used_fraction: number;
  /** How much of the room for a pool's own records is in use, from 0 to 1, where that is limited. */
  metadata_fraction?: number;
};

/** A volume in a list. */
export type VolumeEntry = {
  /** Id of the volume. */
  volid: string;
  /** Kind of content. */
  content: "images" | "rootdir" | "vztmpl" | "iso" | "import" | "snippets" | "backup" | "kernel";
  /** Format, e.g. `raw`, `iso`, `tzst`. */
  format: string;
  /** Size in bytes. */
  size: number;
  /** Bytes it takes, where that is known. */
  used?: number;
  /** When it was made, in seconds since 1970. */
  ctime?: number;
  /** Guest that it belongs to. */
  vmid?: number;
};

/** A volume. */
export type VolumeInfo = {
  /** Where it lies on the node. */
  path: string;
  /** Format, e.g. `raw`, `iso`, `tzst`. */
  format: string;
  /** Size in bytes. */
  size: number;
  /** Bytes it takes. */
  used: number;
};

/** State and figures of a guest. */
export type GuestStatus = {
  /** Number. */
  vmid: number;
  /** Name. */
  name: string;
  /** Whether it runs. */
  status: GuestState;
  /** Finer state of a virtual machine: running, paused, stopped, io-error or guest-panicked. */
  qmpstatus?: string;
  /** `lxc` for a container. */
  type?: string;
  /** Cores. */
  cpus: number;
  /** Load, as a part of `cpus` from 0 to 1. */
  cpu: number;
  /** Memory limit in bytes. */
  maxmem: number;
  /** Memory in use in bytes. */
  mem: number;
  /** Memory that its guest does not use in bytes, if it tells; virtual machines only. */
  freemem?: number;
  /** Memory that its balloon leaves it in bytes; virtual machines only. */
  balloon?: number;
  /** What its balloon tells; virtual machines only. */
  ballooninfo?: BalloonInfo;
  /** Swap limit in bytes; containers only. */
  maxswap?: number;
  /** Swap in use in bytes; containers only. */
  swap?: number;
  /** Size of the first disk in bytes. */
  maxdisk: number;
  /** Space in use on it in bytes, where that is known. */
  disk: number;
  /** Bytes read from disks since the start. */
  diskread: number;
  /** Bytes written to disks since the start. */
  diskwrite: number;
  /** Bytes received since the start. */
  netin: number;
  /** Bytes sent since the start. */
  netout: number;
  /** Seconds since the start; 0 when stopped. */
  uptime: number;
  /** Process of the guest on the node. */
  pid?: number;
  /** What holds the guest, e.g. `create`. */
  lock?: string;
  /** Tags, separated by ';'. */
  tags?: string;
  /** Whether it is a template. */
  template?: Flag;
  /** Whether the guest has a serial console; virtual machines only. */
  serial?: Flag;
};

/** Whether a guest runs. */
export type GuestState = "running" | "stopped";

/** What the balloon of a virtual machine tells. The guest is the author of most of it. */
export type BalloonInfo = {
  /** Bytes that the guest has. */
  actual: number;
  /** Bytes that it can have at most. */
  max_mem: number;
  /** Bytes that it does not use. */
  free_mem?: number;
  /** Bytes that its kernel sees. */
  total_mem?: number;
  /** Bytes read from its swap space. */
  mem_swapped_in?: number;
  /** Bytes written to its swap space. */
  mem_swapped_out?: number;
  /** Page faults that took a disk. */
  major_page_faults?: number;
  /** Other page faults. */
  minor_page_faults?: number;
  /** When the guest said so, in seconds since 1970; 0 when it never did. */
  last_update: number;
};

/** A configuration with its digest. */
export type WithDigest = {
  /** Changes whenever the configuration does; give it back with a change to be sure that
   * nobody changed it in between. */
  digest: string;
  /** Name, a DNS name. */
  name?: string;
  /** Free text shown with the guest. */
  description?: string;
  /** Tags, separated by ';'. */
  tags?: string;
  /** Memory in MiB (default 512). More can come while the machine runs, and go again, if it was started
   *  with `memory` in `hotplug` and its guest knows virtio-mem. */
  memory?: number;
  /** Cores per socket (default 1). */
  cores?: number;
  /** Sockets (default 1). */
  sockets?: number;
  /** Processors that are there at the start (default: all that cores and sockets make). More of
   *  them can come while the machine runs, or some go, if `hotplug` has `cpu`. */
  vcpus?: number;
  /** Processors: `host` (default), or a level that is the same on other hosts, `x86-64-v2-AES`,
   *  `x86-64-v3` or `x86-64-v4`; `flags=+pcid;-aes` adds and removes features, `hidden=1` hides KVM. */
  cpu?: string;
  /** Processor time that it may use, in processors of the host (default 0, no limit). */
  cpulimit?: number;
  /** Its share of processor time against other guests (default 100); above 10000 is as 10000. */
  cpuunits?: number;
  /** Processors of the host that it runs on, e.g. `0,5,8-11` (default all). */
  affinity?: string;
  /** Start with the host. */
  onboot?: Flag;
  /** Order and delays of the start with the host. */
  startup?: string;
  /** What happens to it when the host goes down (default: as the node says). */
  "on-host-shutdown"?: "shutdown" | "suspend";
  /** Refuse to remove the guest or its disks. */
  protection?: Flag;
  /** Whether it is a template: it never runs, and clones share its disks. A machine becomes one by
   *  a method of its own. */
  template?: Flag;
  /** What changes at once while the machine runs, e.g. `network,disk` (default
   *  `network,disk,usb`); `0` leaves all to the next start. */
  hotplug?: string;
  /** Firmware. A machine without `kernel` boots UEFI (OVMF), whatever is set here: `seabios`, which
   *  clients send by default, is taken and means the same. */
  bios?: "seabios" | "ovmf";
  /** Where the firmware keeps its variables: `STORAGE:1` for a new volume (its size does not
   *  matter), or a volume. Without it they are lost when the machine is switched off. */
  efidisk0?: string;
  /** A trusted platform module (TPM 2.0), and where it keeps its state: `STORAGE:1` for a new volume
   *  (its size does not matter), or a volume. */
  tpmstate0?: string;
  /** What the machine says it is: `uuid=…[,manufacturer=…][,product=…]…`; a UUID is made up for a
   *  machine that is created without. */
  smbios1?: string;
  /** Identity that says whether the machine was rolled back; no effect. */
  vmgenid?: string;
  /** Kernel to boot: a volume of content kind `kernel`. */
  kernel?: string;
  /** Initial RAM disk for the kernel: a volume of content kind `kernel`. */
  initrd?: string;
  /** Command line of the kernel (default `console=ttyS0 root=/dev/vda rw`). */
  cmdline?: string;
  /** Boot order, e.g. `order=virtio0;net0`: the first disk named becomes /dev/vda, and firmware
   *  tries the devices in this order. */
  boot?: string;
  /** Kind of guest system, e.g. `l26`. Windows (`wvista`, `w2k8`, `win7`, `win8`, `win10`, `win11`) finds
   *  the interface of Hyper-V; the others have no effect. */
  ostype?: string;
  /** Disk controller; no effect: disks are virtio block devices. */
  scsihw?: string;
  /** Guest agent: with `1` the guest has its port, and shutdowns go through an agent that answers. */
  agent?: string;
  /** Memory in MiB that the guest is asked to make do with, through its balloon (default: all of
   *  `memory`); `0` for no balloon. With `hugepages` the guest keeps all of its memory, and the balloon
   *  only tells how it uses it. */
  balloon?: number;
  /** Size in MiB of the host's huge pages that the memory is made of: `2`, `1024`, or `any` for 1024 where
   *  processor, `memory` and free pages allow it, and 2 otherwise. `memory` is a multiple of it. All
   *  of the memory is taken from the host at the start, and does not change while the machine runs;
   *  1024 does not go with Secure Boot. */
  hugepages?: "any" | "2" | "1024";
  /** Keep huge pages that were made for the machine after it ended, so that it, or another, finds them
   *  at its next start (default off). */
  keephugepages?: Flag;
  /** Whether the guest sees nodes of memory and processors (default off): those that `numa[n]` name, or one
   *  for every socket, with equal parts of both. */
  numa?: Flag;
  /** Pointer that knows its place on the screen (default on). */
  tablet?: Flag;
  /** Watchdog that the guest winds up, and what happens when it does not: `i6300esb` (the only model),
   *  with `action=reset` (default), `shutdown`, `poweroff`, `pause`, or `debug` and `none`, which only
   *  tell of it in the log. */
  watchdog?: string;
  /** Sockets between programs of the host and of the guest (`AF_VSOCK`), without a network (default off):
   *  the guest's context id is the machine's number, so that `ssh vsock/100` on the host reaches machine
   *  100, if its guest's SSH server listens there. They wait while a snapshot takes the memory, and
   *  are closed when the machine goes back to one. */
  vsock?: Flag;
  /** Source of random numbers: `/dev/urandom`, `/dev/random` or `/dev/hwrng`, the generator of the
   *  host, of which the guest gets `max_bytes` (default 1024; 0 for no limit) in a `period` (default
   *  1000 ms). A machine without it has the same device with `/dev/urandom` and no limit, so that no
   *  guest waits for random numbers when it boots. */
  rng0?: string;
  /** Screen: `std`, `virtio`, or none: `none`, and `serial0` to `serial3`, which is then the console.
   *  Default `std`. */
  vga?: string;
  /** Machine type; no effect: there is one. */
  machine?: string;
  /** Power button events; always on. */
  acpi?: "1";
  /** Hardware virtualization; always on. */
  kvm?: "1";
  /** cloud-init: the user that it makes (default: the one of the guest's image). */
  ciuser?: string;
  /** cloud-init: that user's password, or its hash; only the hash is kept, and never shown. */
  cipassword?: string;
  /** cloud-init: that user's public keys of OpenSSH, percent-encoded. */
  sshkeys?: string;
  /** cloud-init: bring the guest's packages up to date at its first boot (default on). */
  ciupgrade?: Flag;
  /** cloud-init: documents of one's own in the place of those that are made of the other
   *  settings: `user=VOLUME,network=VOLUME,meta=VOLUME,vendor=VOLUME`, each a snippet. */
  cicustom?: string;
  /** cloud-init: how it is told; only `nocloud`. */
  citype?: "nocloud";
  /** cloud-init: name servers, separated by blanks; default those of the host. */
  nameserver?: string;
  /** cloud-init: DNS search domain; default that of the host. */
  searchdomain?: string;
  /** Disk: `STORAGE:GIB` for a new one, or a volume; `import-from=` copies one. */
  [key: `virtio${number}`]: string | undefined;
  /** Disk, served as a virtio block device. */
  [key: `scsi${number}`]: string | undefined;
  /** Disk, served as a virtio block device. */
  [key: `sata${number}`]: string | undefined;
  /** Disk, served as a virtio block device; `none,media=cdrom` is an empty drive, and
   *  `STORAGE:cloudinit` one with the settings of cloud-init. */
  [key: `ide${number}`]: string | undefined;
  /** Network card: `virtio[=MAC],bridge=vmbr0`. */
  [key: `net${number}`]: string | undefined;
  /** Devices of the host that are the guest's alone: `01:00.0`, `01:00` for all functions, several
   *  with ';', or `mapping=NAME`; `pcie=1` shows them as PCI Express. Such a machine has no
   *  balloon, its memory does not change while it runs, and it can be neither suspended to disk nor
   *  moved. */
  [key: `hostpci${number}`]: string | undefined;
  /** Node of memory and processors, with `numa`: `cpus=0-3;8,memory=MIB`. All of them together have all of
   *  `memory` and every processor once. `hostnodes=0;1,policy=bind` takes the memory from nodes of the
   *  host (`bind`: no others, `preferred`: others when they have none, `interleave`: in turn). */
  [key: `numa${number}`]: string | undefined;
  /** cloud-init: addresses of the network card of the same number (default `ip=dhcp`). */
  [key: `ipconfig${number}`]: string | undefined;
  /** Serial port: `socket`, a console of its own. The first is always there, set or not. */
  [key: `serial${number}`]: string | undefined;
  /** Volume of the machine that no disk uses. */
  [key: `unused${number}`]: string | undefined;
  /** Directory of the host that the guest mounts by the name of its mapping: `MAPPING[,cache=…]`. */
  [key: `virtiofs${number}`]: string | undefined;
};

/** One setting, with the value that the next start brings. */
export type PendingEntry = {
  /** Name of the setting. */
  key: string;
  /** Value that runs. */
  value?: string;
  /** Value after the next start. */
  pending?: string;
  /** 1 when the next start removes it. */
  delete?: number;
};

/** State and figures of one guest, with what concerns the cluster. */
export type GuestCurrent = {
  /** Number. */
  vmid: number;
  /** Name. */
  name: string;
  /** Whether it runs. */
  status: GuestState;
  /** Finer state of a virtual machine: running, paused, stopped, io-error or guest-panicked. */
  qmpstatus?: string;
  /** `lxc` for a container. */
  type?: string;
  /** Cores. */
  cpus: number;
  /** Load, as a part of `cpus` from 0 to 1. */
  cpu: number;
  /** Memory limit in bytes. */
  maxmem: number;
  /** Memory in use in bytes. */
  mem: number;
  /** Memory that its guest does not use in bytes, if it tells; virtual machines only. */
  freemem?: number;
  /** Memory that its balloon leaves it in bytes; virtual machines only. */
  balloon?: number;
  /** What its balloon tells; virtual machines only. */
  ballooninfo?: BalloonInfo;
  /** Swap limit in bytes; containers only. */
  maxswap?: number;
  /** Swap in use in bytes; containers only. */
  swap?: number;
  /** Size of the first disk in bytes. */
  maxdisk: number;
  /** Space in use on it in bytes, where that is known. */
  disk: number;
  /** Bytes read from disks since the start. */
  diskread: number;
  /** Bytes written to disks since the start. */
  diskwrite: number;
  /** Bytes received since the start. */
  netin: number;
  /** Bytes sent since the start. */
  netout: number;
  /** Seconds since the start; 0 when stopped. */
  uptime: number;
  /** Process of the guest on the node. */
  pid?: number;
  /** What holds the guest, e.g. `create`. */
  lock?: string;
  /** Tags, separated by ';'. */
  tags?: string;
  /** Whether it is a template. */
  template?: Flag;
  /** Whether the guest has a serial console; virtual machines only. */
  serial?: Flag;
  /** High availability of the guest. */
  ha: HaState;
};

/** High availability of a guest. */
export type HaState = {
  /** Whether it is managed. */
  managed: Flag;
};

/** A console that waits for its websocket. */
export type ConsoleTicket = {
  /** The caller. */
  user: string;
  /** Goes into `vncticket` of the websocket and into its first line; valid for 40 seconds. */
  ticket: string;
  /** Goes into `port` of the websocket. */
  port: number;
  /** The task of the console. */
  upid: string;
};

/** A graphical console that waits for its websocket. */
export type ScreenTicket = {
  /** The caller. */
  user: string;
  /** Goes into `vncticket` of the websocket; valid for 40 seconds. It is the password for VNC,
   * too, unless one was generated. */
  ticket: string;
  /** The password for VNC, if one was to be generated. */
  password?: string;
  /** The certificate of the node, in PEM. */
  cert: string;
  /** Goes into `port` of the websocket. */
  port: number;
  /** The task of the console. */
  upid: string;
};

/** What the agent answered. */
export type AgentResult = {
  /** As the agent said it; the guest is its author. */
  result: unknown;
};

/** A program that was started in the guest. */
export type AgentExecuted = {
  /** Its process number in the guest. */
  pid: number;
};

/** What became of a program. */
export type AgentFinished = {
  /** Whether it has ended. */
  exited: Flag;
  /** Its exit status. */
  exitcode?: number;
  /** The signal that ended it. */
  signal?: number;
  /** What it printed. */
  "out-data"?: string;
  /** What it printed as errors. */
  "err-data"?: string;
  /** Whether some of what it printed is missing. */
  "out-truncated"?: Flag;
  /** Whether some of the errors is missing. */
  "err-truncated"?: Flag;
};

/** A part of a file. */
export type AgentFile = {
  /** The content; in text, what is no UTF-8 is replaced. */
  content: string;
  /** Bytes that were read. */
  "bytes-read": number;
  /** Whether the file goes on. */
  truncated?: Flag;
};

/** A configuration with its digest. */
export type WithDigest2 = {
  /** Changes whenever the configuration does; give it back with a change to be sure that
   * nobody changed it in between. */
  digest: string;
  /** Host name (default CT and its number). */
  hostname?: string;
  /** Free text shown with the guest. */
  description?: string;
  /** Tags, separated by ';'. */
  tags?: string;
  /** Memory in MiB (default 512). */
  memory?: number;
  /** Swap in MiB (default 512). */
  swap?: number;
  /** Cores it may use (default all). */
  cores?: number;
  /** Processor time it may use, in cores; 0 is no limit. */
  cpulimit?: number;
  /** Its share of processor time against other guests (default 100). */
  cpuunits?: number;
  /** Root file system: `STORAGE:GIB` for a new one. */
  rootfs?: string;
  /** Kind of distribution inside; no effect. */
  ostype?: string;
  /** Architecture; only amd64. */
  arch?: "amd64";
  /** Always 1: container root is an ordinary user of the host. */
  unprivileged?: Flag;
  /** Start with the host. */
  onboot?: Flag;
  /** Order and delays of the start with the host. */
  startup?: string;
  /** Refuse to remove the guest. */
  protection?: Flag;
  /** Whether it is a template: it never runs, and clones share its volume. A container becomes one
   *  by a method of its own. */
  template?: Flag;
  /** Features, e.g. `nesting=1`. */
  features?: string;
  /** Console; always on. */
  console?: "1";
  /** Name servers, separated by blanks; default those of the host. */
  nameserver?: string;
  /** DNS search domain; default that of the host. */
  searchdomain?: string;
  /** Network card: `name=eth0,bridge=vmbr0,ip=dhcp`. */
  [key: `net${number}`]: string | undefined;
  /** Volume of the container that it does not use. */
  [key: `unused${number}`]: string | undefined;
};

/** A network interface inside a container. */
export type CtInterface = {
  /** Name. */
  name: string;
  /** Hardware address. */
  hwaddr: string;
  /** Hardware address, once more. */
  "hardware-address": string;
  /** First IPv4 address with its prefix length. */
  inet?: string;
  /** First IPv6 address with its prefix length. */
  inet6?: string;
  /** All addresses. */
  "ip-addresses": Array<CtAddress>;
};

/** An address inside a container. */
export type CtAddress = {
  /** The address. */
  "ip-address": string;
  /** `inet` or `inet6`. */
  "ip-address-type": string;
  /** Prefix length. */
  prefix: number;
};

/** Whether a guest has a feature. */
export type FeatureAnswer = {
  /** Whether it has. */
  hasFeature: Flag;
  /** The nodes on which it has; virtual machines only. */
  nodes?: Array<string>;
};

/** A state of a guest. */
export type SnapshotEntry = {
  /** Name; `current` is the guest as it is now. */
  name: string;
  /** Description. */
  description: string;
  /** The snapshot that it began from. */
  parent?: string;
  /** When it was, in seconds since 1970; not of `current`. */
  snaptime?: number;
  /** Whether it has the memory of the virtual machine; not of `current`. */
  vmstate?: Flag;
  /** What is being done with it, or was not finished: `prepare` or `delete`. */
  snapstate?: string;
  /** Whether the guest runs, of `current`. */
  running?: Flag;
  /** Digest of the configuration, of `current`. */
  digest?: string;
};

/** What a guest was configured to be. */
export type SnapshotConfig = {
  /** When that was, in seconds since 1970. */
  snaptime: number;
  /** The snapshot that it began from. */
  parent?: string;
  /** Name, a DNS name. */
  name?: string;
  /** Free text shown with the guest. */
  description?: string;
  /** Tags, separated by ';'. */
  tags?: string;
  /** Memory in MiB (default 512). More can come while the machine runs, and go again, if it was started
   *  with `memory` in `hotplug` and its guest knows virtio-mem. */
  memory?: number;
  /** Cores per socket (default 1). */
  cores?: number;
  /** Sockets (default 1). */
  sockets?: number;
  /** Processors that are there at the start (default: all that cores and sockets make). More of
   *  them can come while the machine runs, or some go, if `hotplug` has `cpu`. */
  vcpus?: number;
  /** Processors: `host` (default), or a level that is the same on other hosts, `x86-64-v2-AES`,
   *  `x86-64-v3` or `x86-64-v4`; `flags=+pcid;-aes` adds and removes features, `hidden=1` hides KVM. */
  cpu?: string;
  /** Processor time that it may use, in processors of the host (default 0, no limit). */
  cpulimit?: number;
  /** Its share of processor time against other guests (default 100); above 10000 is as 10000. */
  cpuunits?: number;
  /** Processors of the host that it runs on, e.g. `0,5,8-11` (default all). */
  affinity?: string;
  /** Start with the host. */
  onboot?: Flag;
  /** Order and delays of the start with the host. */
  startup?: string;
  /** What happens to it when the host goes down (default: as the node says). */
  "on-host-shutdown"?: "shutdown" | "suspend";
  /** Refuse to remove the guest or its disks. */
  protection?: Flag;
  /** Whether it is a template: it never runs, and clones share its disks. A machine becomes one by
   *  a method of its own. */
  template?: Flag;
  /** What changes at once while the machine runs, e.g. `network,disk` (default
   *  `network,disk,usb`); `0` leaves all to the next start. */
  hotplug?: string;
  /** Firmware. A machine without `kernel` boots UEFI (OVMF), whatever is set here: `seabios`, which
   *  clients send by default, is taken and means the same. */
  bios?: "seabios" | "ovmf";
  /** Where the firmware keeps its variables: `STORAGE:1` for a new volume (its size does not
   *  matter), or a volume. Without it they are lost when the machine is switched off. */
  efidisk0?: string;
  /** A trusted platform module (TPM 2.0), and where it keeps its state: `STORAGE:1` for a new volume
   *  (its size does not matter), or a volume. */
  tpmstate0?: string;
  /** What the machine says it is: `uuid=…[,manufacturer=…][,product=…]…`; a UUID is made up for a
   *  machine that is created without. */
  smbios1?: string;
  /** Identity that says whether the machine was rolled back; no effect. */
  vmgenid?: string;
  /** Kernel to boot: a volume of content kind `kernel`. */
  kernel?: string;
  /** Initial RAM disk for the kernel: a volume of content kind `kernel`. */
  initrd?: string;
  /** Command line of the kernel (default `console=ttyS0 root=/dev/vda rw`). */
  cmdline?: string;
  /** Boot order, e.g. `order=virtio0;net0`: the first disk named becomes /dev/vda, and firmware
   *  tries the devices in this order. */
  boot?: string;
  /** Kind of guest system, e.g. `l26`. Windows (`wvista`, `w2k8`, `win7`, `win8`, `win10`, `win11`) finds
   *  the interface of Hyper-V; the others have no effect. */
  ostype?: string;
  /** Disk controller; no effect: disks are virtio block devices. */
  scsihw?: string;
  /** Guest agent: with `1` the guest has its port, and shutdowns go through an agent that answers. */
  agent?: string;
  /** Memory in MiB that the guest is asked to make do with, through its balloon (default: all of
   *  `memory`); `0` for no balloon. With `hugepages` the guest keeps all of its memory, and the balloon
   *  only tells how it uses it. */
  balloon?: number;
  /** Size in MiB of the host's huge pages that the memory is made of: `2`, `1024`, or `any` for 1024 where
   *  processor, `memory` and free pages allow it, and 2 otherwise. `memory` is a multiple of it. All
   *  of the memory is taken from the host at the start, and does not change while the machine runs;
   *  1024 does not go with Secure Boot. */
  hugepages?: "any" | "2" | "1024";
  /** Keep huge pages that were made for the machine after it ended, so that it, or another, finds them
   *  at its next start (default off). */
  keephugepages?: Flag;
  /** Whether the guest sees nodes of memory and processors (default off): those that `numa[n]` name, or one
   *  for every socket, with equal parts of both. */
  numa?: Flag;
  /** Pointer that knows its place on the screen (default on). */
  tablet?: Flag;
  /** Watchdog that the guest winds up, and what happens when it does not: `i6300esb` (the only model),
   *  with `action=reset` (default), `shutdown`, `poweroff`, `pause`, or `debug` and `none`, which only
   *  tell of it in the log. */
  watchdog?: string;
  /** Sockets between programs of the host and of the guest (`AF_VSOCK`), without a network (default off):
   *  the guest's context id is the machine's number, so that `ssh vsock/100` on the host reaches machine
   *  100, if its guest's SSH server listens there. They wait while a snapshot takes the memory, and
   *  are closed when the machine goes back to one. */
  vsock?: Flag;
  /** Source of random numbers: `/dev/urandom`, `/dev/random` or `/dev/hwrng`, the generator of the
   *  host, of which the guest gets `max_bytes` (default 1024; 0 for no limit) in a `period` (default
   *  1000 ms). A machine without it has the same device with `/dev/urandom` and no limit, so that no
   *  guest waits for random numbers when it boots. */
  rng0?: string;
  /** Screen: `std`, `virtio`, or none: `none`, and `serial0` to `serial3`, which is then the console.
   *  Default `std`. */
  vga?: string;
  /** Machine type; no effect: there is one. */
  machine?: string;
  /** Power button events; always on. */
  acpi?: "1";
  /** Hardware virtualization; always on. */
  kvm?: "1";
  /** cloud-init: the user that it makes (default: the one of the guest's image). */
  ciuser?: string;
  /** cloud-init: that user's password, or its hash; only the hash is kept, and never shown. */
  cipassword?: string;
  /** cloud-init: that user's public keys of OpenSSH, percent-encoded. */
  sshkeys?: string;
  /** cloud-init: bring the guest's packages up to date at its first boot (default on). */
  ciupgrade?: Flag;
  /** cloud-init: documents of one's own in the place of those that are made of the other
   *  settings: `user=VOLUME,network=VOLUME,meta=VOLUME,vendor=VOLUME`, each a snippet. */
  cicustom?: string;
  /** cloud-init: how it is told; only `nocloud`. */
  citype?: "nocloud";
  /** cloud-init: name servers, separated by blanks; default those of the host. */
  nameserver?: string;
  /** cloud-init: DNS search domain; default that of the host. */
  searchdomain?: string;
  /** Disk: `STORAGE:GIB` for a new one, or a volume; `import-from=` copies one. */
  [key: `virtio${number}`]: string | undefined;
  /** Disk, served as a virtio block device. */
  [key: `scsi${number}`]: string | undefined;
  /** Disk, served as a virtio block device. */
  [key: `sata${number}`]: string | undefined;
  /** Disk, served as a virtio block device; `none,media=cdrom` is an empty drive, and
   *  `STORAGE:cloudinit` one with the settings of cloud-init. */
  [key: `ide${number}`]: string | undefined;
  /** Network card: `virtio[=MAC],bridge=vmbr0`. */
  [key: `net${number}`]: string | undefined;
  /** Devices of the host that are the guest's alone: `01:00.0`, `01:00` for all functions, several
   *  with ';', or `mapping=NAME`; `pcie=1` shows them as PCI Express. Such a machine has no
   *  balloon, its memory does not change while it runs, and it can be neither suspended to disk nor
   *  moved. */
  [key: `hostpci${number}`]: string | undefined;
  /** Node of memory and processors, with `numa`: `cpus=0-3;8,memory=MIB`. All of them together have all of
   *  `memory` and every processor once. `hostnodes=0;1,policy=bind` takes the memory from nodes of the
   *  host (`bind`: no others, `preferred`: others when they have none, `interleave`: in turn). */
  [key: `numa${number}`]: string | undefined;
  /** cloud-init: addresses of the network card of the same number (default `ip=dhcp`). */
  [key: `ipconfig${number}`]: string | undefined;
  /** Serial port: `socket`, a console of its own. The first is always there, set or not. */
  [key: `serial${number}`]: string | undefined;
  /** Volume of the machine that no disk uses. */
  [key: `unused${number}`]: string | undefined;
  /** Directory of the host that the guest mounts by the name of its mapping: `MAPPING[,cache=…]`. */
  [key: `virtiofs${number}`]: string | undefined;
};

/** What a guest was configured to be. */
export type SnapshotConfig2 = {
  /** When that was, in seconds since 1970. */
  snaptime: number;
  /** The snapshot that it began from. */
  parent?: string;
  /** Host name (default CT and its number). */
  hostname?: string;
  /** Free text shown with the guest. */
  description?: string;
  /** Tags, separated by ';'. */
  tags?: string;
  /** Memory in MiB (default 512). */
  memory?: number;
  /** Swap in MiB (default 512). */
  swap?: number;
  /** Cores it may use (default all). */
  cores?: number;
  /** Processor time it may use, in cores; 0 is no limit. */
  cpulimit?: number;
  /** Its share of processor time against other guests (default 100). */
  cpuunits?: number;
  /** Root file system: `STORAGE:GIB` for a new one. */
  rootfs?: string;
  /** Kind of distribution inside; no effect. */
  ostype?: string;
  /** Architecture; only amd64. */
  arch?: "amd64";
  /** Always 1: container root is an ordinary user of the host. */
  unprivileged?: Flag;
  /** Start with the host. */
  onboot?: Flag;
  /** Order and delays of the start with the host. */
  startup?: string;
  /** Refuse to remove the guest. */
  protection?: Flag;
  /** Whether it is a template: it never runs, and clones share its volume. A container becomes one
   *  by a method of its own. */
  template?: Flag;
  /** Features, e.g. `nesting=1`. */
  features?: string;
  /** Console; always on. */
  console?: "1";
  /** Name servers, separated by blanks; default those of the host. */
  nameserver?: string;
  /** DNS search domain; default that of the host. */
  searchdomain?: string;
  /** Network card: `name=eth0,bridge=vmbr0,ip=dhcp`. */
  [key: `net${number}`]: string | undefined;
  /** Volume of the container that it does not use. */
  [key: `unused${number}`]: string | undefined;
};

/** A guest that no backup job covers. */
export type NotBackedUp = {
  /** Number. */
  vmid: number;
  /** Name. */
  name?: string;
  /** `qemu` or `lxc`. */
  type: string;
};

/** A job that copies a guest's disks to another node. */
export type ReplicationJob = {
  /** Name. */
  id: string;
  /** The guest. */
  guest: number;
};

/** A job in a list. */
export type SyncJobEntry = {
  /** Its name. */
  id: string;
  /** Whether it is done. */
  enabled: Flag;
  /** The realm. */
  realm: string;
  /** When it is done. */
  schedule: string;
  /** Description. */
  comment?: string;
  /** What of users and groups that the directory no longer has is removed. */
  "remove-vanished"?: string;
  /** What is synchronised. */
  scope?: SyncScope;
  /** When it began last, in seconds since 1970. */
  "last-run"?: number;
  /** When it begins next, in seconds since 1970. */
  "next-run"?: number;
};

/** What a synchronisation is about. */
export type SyncScope = "users" | "groups" | "both";

/** A job as it is set. */
export type SyncJobShown = {
  /** Its name. */
  id: string;
  /** The realm, of type ldap or ad. */
  realm: string;
  /** When it is done, by the host's clock: e.g. `daily`, `mon..fri 22:30` or `0/15`. */
  schedule: string;
  /** Description. */
  comment?: string;
  /** Whether it is done (default 1). */
  enabled?: Flag;
  /** Whether new users can log in (default as the realm says). */
  "enable-new"?: Flag;
  /** What of users and groups that the directory no longer has is removed, separated by semicolons:
   * `acl`, `entry`, `properties`; or `none` (default as the realm says). */
  "remove-vanished"?: string;
  /** What is synchronised (default as the realm says). */
  scope?: SyncScope;
};

/** An instant. */
export type ScheduledTime = {
  /** Seconds since 1970. */
  timestamp: number;
  /** In words, in universal time. */
  utc: string;
};

/** Figures of a node in one row. What was not sampled is absent. */
export type NodeFigures = {
  /** Begin of the row, in seconds since 1970. */
  time: number;
  /** Load, as a part of `maxcpu` from 0 to 1. */
  cpu?: number;
  /** Part of the time spent waiting for disks. */
  iowait?: number;
  /** Load average over a minute. */
  loadavg?: number;
  /** Logical processors. */
  maxcpu?: number;
  /** Memory in bytes. */
  memtotal?: number;
  /** Memory in use in bytes. */
  memused?: number;
  /** Memory that programs could still get, in bytes. */
  memavailable?: number;
  /** Memory that ZFS uses as its cache, in bytes. */
  arcsize?: number;
  /** Swap space in bytes. */
  swaptotal?: number;
  /** Swap space in use in bytes. */
  swapused?: number;
  /** Size of the data partition in bytes. */
  roottotal?: number;
  /** Bytes in use on the data partition. */
  rootused?: number;
  /** Bytes a second received on all network cards. */
  netin?: number;
  /** Bytes a second sent on all network cards. */
  netout?: number;
  /** Percent of the time in which some process waited for a processor. */
  pressurecpusome?: number;
  /** Percent of the time in which some process waited for a disk. */
  pressureiosome?: number;
  /** Percent of the time in which every process waited for a disk. */
  pressureiofull?: number;
  /** Percent of the time in which some process waited for memory. */
  pressurememorysome?: number;
  /** Percent of the time in which every process waited for memory. */
  pressurememoryfull?: number;
};

/** Figures of a guest in one row. What was not sampled is absent. */
export type GuestFigures = {
  /** Begin of the row, in seconds since 1970. */
  time: number;
  /** Load, as a part of `maxcpu` from 0 to 1. */
  cpu?: number;
  /** Processors. */
  maxcpu?: number;
  /** Memory in use in bytes. */
  mem?: number;
  /** Memory in bytes. */
  maxmem?: number;
  /** Bytes in use on the first disk, as far as that is known. */
  disk?: number;
  /** Size of the first disk in bytes. */
  maxdisk?: number;
  /** Bytes a second received. */
  netin?: number;
  /** Bytes a second sent. */
  netout?: number;
  /** Bytes a second read. */
  diskread?: number;
  /** Bytes a second written. */
  diskwrite?: number;
};

/** Figures of a storage in one row. What was not sampled is absent. */
export type StorageFigures = {
  /** Begin of the row, in seconds since 1970. */
  time: number;
  /** Size in bytes. */
  total?: number;
  /** Bytes in use. */
  used?: number;
};

/** A server in a list. */
export type MetricServerEntry = {
  /** Its name. */
  id: string;
  /** What it understands. */
  type: MetricKind;
  /** Its name or address on the network. */
  server: string;
  /** Its port. */
  port: number;
  /** Whether it is told nothing. */
  disable: Flag;
};

/** What a server understands. */
export type MetricKind = "graphite" | "influxdb" | "opentelemetry";

/** A server as it is configured; its secrets stay here. */
export type MetricServerShown = {
  /** Its name. */
  id: string;
  /** What it understands. */
  type: MetricKind;
  /** Its name or address. */
  server: string;
  /** Its port. */
  port: number;
  /** Whether it is told nothing. */
  disable?: Flag;
  /** Most bytes of a packet, for udp (default 1500). */
  mtu?: number;
  /** Seconds it may take, for tcp, and for http to InfluxDB (default 1). */
  timeout?: number;
  /** Where in Graphite's tree the figures go (default proxmox). */
  path?: string;
  /** How Graphite is reached (default udp). */
  proto?: GraphiteTransport;
  /** How InfluxDB is reached (default udp). */
  influxdbproto?: InfluxTransport;
  /** Organization in InfluxDB, for http and https (default proxmox). */
  organization?: string;
  /** Bucket in InfluxDB, for http and https (default proxmox). */
  bucket?: string;
  /** What stands before InfluxDB's paths, e.g. behind a proxy. */
  "api-path-prefix"?: string;
  /** Most bytes of a request to InfluxDB (default 25000000). */
  "max-body-size"?: number;
  /** Whether InfluxDB's certificate has to be valid (default yes). */
  "verify-certificate"?: Flag;
  /** How the collector is reached (default https). */
  "otel-protocol"?: OtelTransport;
  /** Path of the collector (default /v1/metrics). */
  "otel-path"?: string;
  /** Seconds the collector may take (default 5). */
  "otel-timeout"?: number;
  /** Whether the collector's certificate has to be valid (default yes). */
  "otel-verify-ssl"?: Flag;
  /** Most bytes of a request to the collector, before compression (default 10000000). */
  "otel-max-body-size"?: number;
  /** Whether requests to the collector are compressed (default gzip). */
  "otel-compression"?: Compression;
  /** What else to say of this host: a JSON object of texts, which may be encoded as base64. */
  "otel-resource-attributes"?: string;
  /** Changes whenever the settings do. */
  digest: string;
};

/** How a Graphite server is reached. */
export type GraphiteTransport = "udp" | "tcp";

/** How an InfluxDB server is reached. */
export type InfluxTransport = "udp" | "http" | "https";

/** How an OpenTelemetry collector is reached. */
export type OtelTransport = "http" | "https";

/** Whether what is sent is compressed. */
export type Compression = "none" | "gzip";

/** Figures. */
export type MetricExport = {
  /** The figures. */
  data: Array<Metric>;
};

/** A figure. */
export type Metric = {
  /** Whose it is, e.g. `qemu/100`. */
  id: string;
  /** Its name. */
  metric: string;
  /** When it was, in seconds since 1970. */
  timestamp: number;
  /** How it behaves. */
  type: MetricType;
  /** The value. */
  value: number;
};

/** How a figure behaves. */
export type MetricType = "gauge" | "counter" | "derive";

/** A target in the list of all. */
export type NotifyTarget = {
  /** Its name. */
  name: string;
  /** Its kind. */
  type: "sendmail" | "gotify" | "smtp" | "webhook";
  /** Description. */
  comment?: string;
  /** Whether it is told nothing. */
  disable: Flag;
  /** Whether it is there from the beginning. */
  origin: "user-created" | "builtin" | "modified-builtin";
};

/** A field that rules of matchers can look at. */
export type MatcherField = {
  /** Its name. */
  name: string;
};

/** A value that a field can have. */
export type MatcherFieldValue = {
  /** Name of the field. */
  field: string;
  /** The value. */
  value: string;
  /** What it says. */
  comment?: string;
};

/** One in a list. */
export type NotifyMatcherEntry = {
  /** Its name. */
  name: string;
  /** Whether it is there from the beginning. */
  origin: "user-created" | "builtin" | "modified-builtin";
  /** Description. */
  comment?: string;
  /** Whether it is ignored (default no). */
  disable?: Flag;
  /** Whether it takes the events that its rules do not hold for, instead of the others. */
  "invert-match"?: Flag;
  /** When events happen: `[DAYS] [FROM-TO]`, e.g. `mon..fri 8-17`, by the host's clock. */
  "match-calendar"?: Array<string>;
  /** What events say: `exact:FIELD=VALUE,VALUE…` or `regex:FIELD=EXPRESSION`. */
  "match-field"?: Array<string>;
  /** How bad events are: severities, separated by commas. */
  "match-severity"?: Array<string>;
  /** Whether all rules must hold, or any (default all). */
  mode?: MatcherMode;
  /** The targets that are told. */
  target?: Array<string>;
};

/** How many of a matcher's rules must hold. */
export type MatcherMode = "all" | "any";

/** One as it is set; its secrets stay here. */
export type NotifyMatcher = {
  /** Its name. */
  name: string;
  /** Description. */
  comment?: string;
  /** Whether it is ignored (default no). */
  disable?: Flag;
  /** Whether it takes the events that its rules do not hold for, instead of the others. */
  "invert-match"?: Flag;
  /** When events happen: `[DAYS] [FROM-TO]`, e.g. `mon..fri 8-17`, by the host's clock. */
  "match-calendar"?: Array<string>;
  /** What events say: `exact:FIELD=VALUE,VALUE…` or `regex:FIELD=EXPRESSION`. */
  "match-field"?: Array<string>;
  /** How bad events are: severities, separated by commas. */
  "match-severity"?: Array<string>;
  /** Whether all rules must hold, or any (default all). */
  mode?: MatcherMode;
  /** The targets that are told. */
  target?: Array<string>;
  /** Changes whenever a setting of notifications does. */
  digest: string;
};

/** One in a list. */
export type NotifyGotifyEntry = {
  /** Its name. */
  name: string;
  /** Whether it is there from the beginning. */
  origin: "user-created" | "builtin" | "modified-builtin";
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Address of the server, e.g. `https://gotify.example.org`. */
  server: string;
};

/** One as it is set; its secrets stay here. */
export type NotifyGotify = {
  /** Its name. */
  name: string;
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Address of the server, e.g. `https://gotify.example.org`. */
  server: string;
  /** Changes whenever a setting of notifications does. */
  digest: string;
};

/** One in a list. */
export type NotifySendmailEntry = {
  /** Its name. */
  name: string;
  /** Whether it is there from the beginning. */
  origin: "user-created" | "builtin" | "modified-builtin";
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Name of the sender (default Basalt). */
  author?: string;
  /** Address of the sender (default that of the relay). */
  "from-address"?: string;
  /** Addresses that get the mail; a name without `@` is a user of realm pam. */
  mailto?: Array<string>;
  /** Users that get the mail, at the addresses that they have here. */
  "mailto-user"?: Array<string>;
  /** The target of type smtp whose server and login send the mail. Without it nothing can be sent,
   * for the host has no mail server of its own. */
  relay?: string;
};

/** One as it is set; its secrets stay here. */
export type NotifySendmail = {
  /** Its name. */
  name: string;
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Name of the sender (default Basalt). */
  author?: string;
  /** Address of the sender (default that of the relay). */
  "from-address"?: string;
  /** Addresses that get the mail; a name without `@` is a user of realm pam. */
  mailto?: Array<string>;
  /** Users that get the mail, at the addresses that they have here. */
  "mailto-user"?: Array<string>;
  /** The target of type smtp whose server and login send the mail. Without it nothing can be sent,
   * for the host has no mail server of its own. */
  relay?: string;
  /** Changes whenever a setting of notifications does. */
  digest: string;
};

/** One in a list. */
export type NotifySmtpEntry = {
  /** Its name. */
  name: string;
  /** Whether it is there from the beginning. */
  origin: "user-created" | "builtin" | "modified-builtin";
  /** Name or address of the mail server. */
  server: string;
  /** Address of the sender. */
  "from-address": string;
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Name of the sender (default Basalt). */
  author?: string;
  /** Addresses that get the mail; a name without `@` is a user of realm pam. */
  mailto?: Array<string>;
  /** Users that get the mail, at the addresses that they have here. */
  "mailto-user"?: Array<string>;
  /** How the connection is kept secret (default tls). */
  mode?: SmtpMode;
  /** Port (default 465 for tls, 587 for starttls, 25 for insecure). */
  port?: number;
  /** Name of the account at the server. */
  username?: string;
};

/** How a connection to a mail server is kept secret. */
export type SmtpMode = "insecure" | "starttls" | "tls";

/** One as it is set; its secrets stay here. */
export type NotifySmtp = {
  /** Its name. */
  name: string;
  /** Name or address of the mail server. */
  server: string;
  /** Address of the sender. */
  "from-address": string;
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Name of the sender (default Basalt). */
  author?: string;
  /** Addresses that get the mail; a name without `@` is a user of realm pam. */
  mailto?: Array<string>;
  /** Users that get the mail, at the addresses that they have here. */
  "mailto-user"?: Array<string>;
  /** How the connection is kept secret (default tls). */
  mode?: SmtpMode;
  /** Port (default 465 for tls, 587 for starttls, 25 for insecure). */
  port?: number;
  /** Name of the account at the server. */
  username?: string;
  /** Changes whenever a setting of notifications does. */
  digest: string;
};

/** One in a list. */
export type NotifyWebhookEntry = {
  /** Its name. */
  name: string;
  /** Whether it is there from the beginning. */
  origin: "user-created" | "builtin" | "modified-builtin";
  /** What is done. */
  method: WebhookMethod;
  /** Address; a template. */
  url: string;
  /** Body of the request as base64; a template. */
  body?: string;
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Headers of the request: `name=NAME,value=BASE64`; the values are templates. */
  header?: Array<string>;
  /** Secrets that templates use as `{{ secrets.NAME }}`: `name=NAME,value=BASE64`. Values are never
   * shown; a secret whose value is left out keeps the one it has. */
  secret?: Array<string>;
};

/** What a webhook does. */
export type WebhookMethod = "post" | "put" | "get";

/** One as it is set; its secrets stay here. */
export type NotifyWebhook = {
  /** Its name. */
  name: string;
  /** What is done. */
  method: WebhookMethod;
  /** Address; a template. */
  url: string;
  /** Body of the request as base64; a template. */
  body?: string;
  /** Description. */
  comment?: string;
  /** Whether it is told nothing (default no). */
  disable?: Flag;
  /** Headers of the request: `name=NAME,value=BASE64`; the values are templates. */
  header?: Array<string>;
  /** Secrets that templates use as `{{ secrets.NAME }}`: `name=NAME,value=BASE64`. Values are never
   * shown; a secret whose value is left out keeps the one it has. */
  secret?: Array<string>;
  /** Changes whenever a setting of notifications does. */
  digest: string;
};

/** Parameters and result of every method. */
export interface Methods {
  /** Shows the version of the API. */
  "GET /version": {
    params: Record<string, never>;
    output: Version;
  };
  /** Shows the version of a node. */
  "GET /nodes/{node}/version": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Version;
  };
  /** Says nothing: for clients that look whether there is a login. */
  "GET /access/ticket": {
    params: Record<string, never>;
    output: null;
  };
  /** Logs in, or renews a login. */
  "POST /access/ticket": {
    params: {
      /** Name, with or without its realm. */
      username: string;
      /** Password, or a ticket that is still valid: it is renewed; or the answer to `tfa-challenge`. */
      password: string;
      /** Realm, when the name has none (default pam). */
      realm?: string;
      /** Time-based code, given along with the password. */
      otp?: string;
      /** Challenge that an earlier login with the password answered. */
      "tfa-challenge"?: string;
      /** Kind of ticket when a second factor is due; there is one kind. */
      "new-format"?: Flag;
      /** Path to verify a permission on, together with `privs`. */
      path?: string;
      /** Privileges to verify on `path`. */
      privs?: string;
    };
    output: Ticket;
  };
  /** Shows the permissions of a user or token. */
  "GET /access/permissions": {
    params: {
      /** Only this path. */
      path?: string;
      /** User or token (default the caller). */
      userid?: string;
    };
    output: Record<string, Record<string, Flag>>;
  };
  /** Changes a password. */
  "PUT /access/password": {
    params: {
      /** Whose. */
      userid: string;
      /** The new password. */
      password: string;
      /** The caller's own present password. */
      "confirmation-password"?: string;
    };
    output: null;
  };
  /** Lists the realms. */
  "GET /access/domains": {
    params: Record<string, never>;
    output: Array<Realm>;
  };
  /** Creates a realm. */
  "POST /access/domains": {
    params: {
      /** Name of the realm. */
      realm: string;
      /** Kind. */
      type: "pam" | "pve" | "ldap" | "ad" | "openid";
      /** Password of `bind_dn`; kept apart and never shown. */
      password?: string;
      /** Secret of `client-id`, for `openid`; kept apart and never shown. */
      "client-key"?: string;
      /** Refuse unless the server can be reached and takes `bind_dn` (default 0). */
      "check-connection"?: Flag;
      /** Description. */
      comment?: string;
      /** Whether a login page should choose it first; takes that from the realm that had it. */
      default?: Flag;
      /** Second factor that everybody of the realm must have: `type=oath[,digits=6][,step=30]`; a
       * security key does as well. */
      tfa?: string;
      /** Name or address of the server. */
      server1?: string;
      /** Name or address of the server that is asked when the first cannot be reached. */
      server2?: string;
      /** Port (default 636 for `ldaps`, else 389). */
      port?: number;
      /** How the server is reached (default `ldap`). */
      mode?: "ldap" | "ldaps" | "ldap+starttls";
      /** Older spelling of `mode`: 1 is `ldaps`. */
      secure?: Flag;
      /** Whether the server's certificate must be valid and made out to its name. Default 0, as in
       * Proxmox VE: then whoever is on the way can pose as the server and read every password. Set
       * it to 1 wherever the server has a certificate. */
      verify?: Flag;
      /** File, or for directories also folder, of the authorities that are believed (default those of
       * the host, in /etc/ssl/certs). */
      capath?: string;
      /** Whether upper and lower case differ in user names (default 1). */
      "case-sensitive"?: Flag;
      /** DNS name of the domain, for `ad`: users bind as name@domain. */
      domain?: string;
      /** Where users are, for `ldap`; for `ad` only a synchronisation needs it. */
      base_dn?: string;
      /** Who searches; without, the search is anonymous. */
      bind_dn?: string;
      /** Attribute with the user's name (for `ad` default sAMAccountName). */
      user_attr?: string;
      /** Filter that users must pass to be synchronised. */
      filter?: string;
      /** Object classes of users (default inetorgperson, posixaccount, person, user). */
      user_classes?: string;
      /** What of a user comes from which attribute: `email=mail,firstname=givenName,…`. */
      sync_attributes?: string;
      /** Where groups are (default base_dn). */
      group_dn?: string;
      /** Filter that groups must pass to be synchronised. */
      group_filter?: string;
      /** Attribute with the group's name (default the first part of its DN). */
      group_name_attr?: string;
      /** Object classes of groups (default groupOfNames, group, univentionGroup, ipausergroup). */
      group_classes?: string;
      /** What a synchronisation does unless told:
       * `scope=users|groups|both,remove-vanished=acl;entry;properties|none,enable-new=0|1`. */
      "sync-defaults-options"?: string;
      /** Address of the provider, `https://…`, as it calls itself. */
      "issuer-url"?: string;
      /** Who Basalt is at the provider. */
      "client-id"?: string;
      /** Claim with a user's name: `subject` (default), `username`, `email` or any other; it cannot be
       * changed. */
      "username-claim"?: string;
      /** Whether whoever is new here gets an account, without any permission (default 0). */
      autocreate?: Flag;
      /** What the provider is asked for besides `openid` (default `email profile`). */
      scopes?: string;
      /** Whether and what the provider asks the user: `none`, `login`, `consent`, `select_account`. */
      prompt?: string;
      /** What kinds of login are wanted of the provider. */
      "acr-values"?: string;
      /** Whether the provider is asked for claims that are not in its token (default 1). */
      "query-userinfo"?: Flag;
      /** Claim with the names of the user's groups, which are called NAME-REALM here. */
      "groups-claim"?: string;
      /** Whether groups that are not here are made (default 0). */
      "groups-autocreate"?: Flag;
      /** Whether a user leaves, at each login, every group that is not named (default 0). */
      "groups-overwrite"?: Flag;
    };
    output: null;
  };
  /** Shows a realm. */
  "GET /access/domains/{realm}": {
    params: {
      /** Name of the realm. */
      realm: string;
    };
    output: RealmInfo;
  };
  /** Changes a realm. */
  "PUT /access/domains/{realm}": {
    params: {
      /** Name of the realm. */
      realm: string;
      /** Password of `bind_dn`; kept apart and never shown. Needed again when the server, or how it
       * is reached or believed, changes. */
      password?: string;
      /** Secret of `client-id`, for `openid`; kept apart and never shown. Needed again when the
       * provider, or how it is believed, changes. */
      "client-key"?: string;
      /** Refuse unless the server can be reached and takes `bind_dn` (default 0). */
      "check-connection"?: Flag;
      /** Settings to put back to their defaults, separated by commas. */
      delete?: string;
      /** Refuse the change if the configuration has another digest. */
      digest?: string;
      /** Description. */
      comment?: string;
      /** Whether a login page should choose it first; takes that from the realm that had it. */
      default?: Flag;
      /** Second factor that everybody of the realm must have: `type=oath[,digits=6][,step=30]`; a
       * security key does as well. */
      tfa?: string;
      /** Name or address of the server. */
      server1?: string;
      /** Name or address of the server that is asked when the first cannot be reached. */
      server2?: string;
      /** Port (default 636 for `ldaps`, else 389). */
      port?: number;
      /** How the server is reached (default `ldap`). */
      mode?: "ldap" | "ldaps" | "ldap+starttls";
      /** Older spelling of `mode`: 1 is `ldaps`. */
      secure?: Flag;
      /** Whether the server's certificate must be valid and made out to its name. Default 0, as in
       * Proxmox VE: then whoever is on the way can pose as the server and read every password. Set
       * it to 1 wherever the server has a certificate. */
      verify?: Flag;
      /** File, or for directories also folder, of the authorities that are believed (default those of
       * the host, in /etc/ssl/certs). */
      capath?: string;
      /** Whether upper and lower case differ in user names (default 1). */
      "case-sensitive"?: Flag;
      /** DNS name of the domain, for `ad`: users bind as name@domain. */
      domain?: string;
      /** Where users are, for `ldap`; for `ad` only a synchronisation needs it. */
      base_dn?: string;
      /** Who searches; without, the search is anonymous. */
      bind_dn?: string;
      /** Attribute with the user's name (for `ad` default sAMAccountName). */
      user_attr?: string;
      /** Filter that users must pass to be synchronised. */
      filter?: string;
      /** Object classes of users (default inetorgperson, posixaccount, person, user). */
      user_classes?: string;
      /** What of a user comes from which attribute: `email=mail,firstname=givenName,…`. */
      sync_attributes?: string;
      /** Where groups are (default base_dn). */
      group_dn?: string;
      /** Filter that groups must pass to be synchronised. */
      group_filter?: string;
      /** Attribute with the group's name (default the first part of its DN). */
      group_name_attr?: string;
      /** Object classes of groups (default groupOfNames, group, univentionGroup, ipausergroup). */
      group_classes?: string;
      /** What a synchronisation does unless told:
       * `scope=users|groups|both,remove-vanished=acl;entry;properties|none,enable-new=0|1`. */
      "sync-defaults-options"?: string;
      /** Address of the provider, `https://…`, as it calls itself. */
      "issuer-url"?: string;
      /** Who Basalt is at the provider. */
      "client-id"?: string;
      /** Claim with a user's name: `subject` (default), `username`, `email` or any other; it cannot be
       * changed. */
      "username-claim"?: string;
      /** Whether whoever is new here gets an account, without any permission (default 0). */
      autocreate?: Flag;
      /** What the provider is asked for besides `openid` (default `email profile`). */
      scopes?: string;
      /** Whether and what the provider asks the user: `none`, `login`, `consent`, `select_account`. */
      prompt?: string;
      /** What kinds of login are wanted of the provider. */
      "acr-values"?: string;
      /** Whether the provider is asked for claims that are not in its token (default 1). */
      "query-userinfo"?: Flag;
      /** Claim with the names of the user's groups, which are called NAME-REALM here. */
      "groups-claim"?: string;
      /** Whether groups that are not here are made (default 0). */
      "groups-autocreate"?: Flag;
      /** Whether a user leaves, at each login, every group that is not named (default 0). */
      "groups-overwrite"?: Flag;
    };
    output: null;
  };
  /** Deletes a realm. */
  "DELETE /access/domains/{realm}": {
    params: {
      /** Name of the realm. */
      realm: string;
    };
    output: null;
  };
  /** Brings users and groups of a directory here. */
  "POST /access/domains/{realm}/sync": {
    params: {
      /** Name of the realm. */
      realm: string;
      /** Only write into the task's log what would change (default 0). */
      "dry-run"?: Flag;
      /** What is synchronised. */
      scope?: "users" | "groups" | "both";
      /** What of users and groups that the directory no longer has is removed, separated by
       * semicolons: `acl` their permissions, `entry` they themselves, `properties` what describes
       * those that are still there but no longer has a value; or `none` (default). */
      "remove-vanished"?: string;
      /** Whether new users can log in (default 1). */
      "enable-new"?: Flag;
      /** Older spelling of `remove-vanished=entry;properties`. */
      full?: Flag;
      /** Older spelling of `remove-vanished=acl`. */
      purge?: Flag;
    };
    output: string;
  };
  /** Begins a login at the provider of a realm. */
  "POST /access/openid/auth-url": {
    params: {
      /** Name of the realm. */
      realm: string;
      /** Where the provider sends the browser back to; the provider has to know it. */
      "redirect-url": string;
    };
    output: string;
  };
  /** Completes a login at the provider of a realm. */
  "POST /access/openid/login": {
    params: {
      /** Code that the provider gave. */
      code: string;
      /** State that the address of the login had. */
      state: string;
      /** Where the provider sent the browser back to. */
      "redirect-url": string;
    };
    output: Ticket;
  };
  /** Lists the second factors of the users that the caller may see. */
  "GET /access/tfa": {
    params: Record<string, never>;
    output: Array<UserFactors>;
  };
  /** Lists the second factors of a user. */
  "GET /access/tfa/{userid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
    };
    output: Array<Factor>;
  };
  /** Adds a second factor. */
  "POST /access/tfa/{userid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Kind. */
      type: "totp" | "recovery" | "webauthn";
      /** What the user calls it. */
      description?: string;
      /** For `totp`: the secret as `otpauth://totp/NAME?secret=BASE32`. */
      totp?: string;
      /** For `totp`: the present code, which proves that the secret arrived. For `webauthn`: what
       * `navigator.credentials.create` answered, as JSON with base64url for bytes; without, the answer
       * is the challenge for it. */
      value?: string;
      /** For `webauthn`: the challenge that `value` answers. */
      challenge?: string;
      /** The caller's own password; root@pam needs none. */
      password?: string;
    };
    output: FactorMade;
  };
  /** Shows a second factor. */
  "GET /access/tfa/{userid}/{id}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Id of the factor. */
      id: string;
    };
    output: Factor;
  };
  /** Changes a second factor. */
  "PUT /access/tfa/{userid}/{id}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Id of the factor. */
      id: string;
      /** What the user calls it. */
      description?: string;
      /** Whether it counts. */
      enable?: Flag;
      /** The caller's own password; root@pam needs none. */
      password?: string;
    };
    output: null;
  };
  /** Removes a second factor. */
  "DELETE /access/tfa/{userid}/{id}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Id of the factor. */
      id: string;
      /** The caller's own password; root@pam needs none. */
      password?: string;
    };
    output: null;
  };
  /** Says what kinds of second factors a user has. */
  "GET /access/users/{userid}/tfa": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** All kinds, instead of one. */
      multiple?: Flag;
    };
    output: FactorTypes;
  };
  /** Takes a user's time-based codes again, after too many wrong ones. */
  "PUT /access/users/{userid}/unlock-tfa": {
    params: {
      /** The user, name@realm. */
      userid: string;
    };
    output: Flag;
  };
  /** Lists the users that the caller may see. */
  "GET /access/users": {
    params: {
      /** Only those that can, or cannot, log in. */
      enabled?: Flag;
      /** With groups and tokens. */
      full?: Flag;
    };
    output: Array<UserEntry>;
  };
  /** Creates a user. */
  "POST /access/users": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** First password, for realms that keep passwords here. */
      password?: string;
      /** Groups, separated by commas. */
      groups?: string;
      /** Whether the user can log in (default 1). */
      enable?: Flag;
      /** When the account ends, in seconds since 1970; 0 is never. */
      expire?: number;
      /** First name. */
      firstname?: string;
      /** Last name. */
      lastname?: string;
      /** Address for mail. */
      email?: string;
      /** Description. */
      comment?: string;
    };
    output: null;
  };
  /** Shows a user. */
  "GET /access/users/{userid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
    };
    output: User;
  };
  /** Changes a user. */
  "PUT /access/users/{userid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Groups, separated by commas. */
      groups?: string;
      /** Add to the groups instead of replacing them. */
      append?: Flag;
      /** Whether the user can log in (default 1). */
      enable?: Flag;
      /** When the account ends, in seconds since 1970; 0 is never. */
      expire?: number;
      /** First name. */
      firstname?: string;
      /** Last name. */
      lastname?: string;
      /** Address for mail. */
      email?: string;
      /** Description. */
      comment?: string;
    };
    output: null;
  };
  /** Deletes a user with its tokens and permissions. */
  "DELETE /access/users/{userid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
    };
    output: null;
  };
  /** Lists the API tokens of a user. */
  "GET /access/users/{userid}/token": {
    params: {
      /** The user, name@realm. */
      userid: string;
    };
    output: Array<TokenEntry>;
  };
  /** Shows an API token. */
  "GET /access/users/{userid}/token/{tokenid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Name of the token. */
      tokenid: string;
    };
    output: TokenInfo;
  };
  /** Creates an API token. Its secret is shown only in this answer. */
  "POST /access/users/{userid}/token/{tokenid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Name of the token. */
      tokenid: string;
      /** When the token ends, in seconds since 1970; 0 is never. */
      expire?: number;
      /** Whether the token has permissions of its own, at most the user's (default 1). */
      privsep?: Flag;
      /** Description. */
      comment?: string;
    };
    output: TokenSecret;
  };
  /** Changes an API token. */
  "PUT /access/users/{userid}/token/{tokenid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Name of the token. */
      tokenid: string;
      /** When the token ends, in seconds since 1970; 0 is never. */
      expire?: number;
      /** Whether the token has permissions of its own, at most the user's (default 1). */
      privsep?: Flag;
      /** Description. */
      comment?: string;
      /** Settings to put back to their defaults, separated by commas: comment, expire, privsep. */
      delete?: string;
    };
    output: TokenInfo;
  };
  /** Deletes an API token. */
  "DELETE /access/users/{userid}/token/{tokenid}": {
    params: {
      /** The user, name@realm. */
      userid: string;
      /** Name of the token. */
      tokenid: string;
    };
    output: null;
  };
  /** Lists the groups that the caller may see. */
  "GET /access/groups": {
    params: Record<string, never>;
    output: Array<GroupEntry>;
  };
  /** Creates a group. */
  "POST /access/groups": {
    params: {
      /** Name of the group. */
      groupid: string;
      /** Description. */
      comment?: string;
    };
    output: null;
  };
  /** Shows a group. */
  "GET /access/groups/{groupid}": {
    params: {
      /** Name of the group. */
      groupid: string;
    };
    output: Group;
  };
  /** Changes a group's description. */
  "PUT /access/groups/{groupid}": {
    params: {
      /** Name of the group. */
      groupid: string;
      /** Description. */
      comment?: string;
    };
    output: null;
  };
  /** Deletes a group with its permissions. */
  "DELETE /access/groups/{groupid}": {
    params: {
      /** Name of the group. */
      groupid: string;
    };
    output: null;
  };
  /** Lists the roles. */
  "GET /access/roles": {
    params: Record<string, never>;
    output: Array<RoleEntry>;
  };
  /** Creates a role. */
  "POST /access/roles": {
    params: {
      /** Name of the role. */
      roleid: string;
      /** Privileges, separated by commas. */
      privs?: string;
    };
    output: null;
  };
  /** Shows the privileges of a role. */
  "GET /access/roles/{roleid}": {
    params: {
      /** Name of the role. */
      roleid: string;
    };
    output: Record<string, Flag>;
  };
  /** Changes a role that is not built in. */
  "PUT /access/roles/{roleid}": {
    params: {
      /** Name of the role. */
      roleid: string;
      /** Privileges, separated by commas. */
      privs?: string;
      /** Add to the privileges instead of replacing them. */
      append?: Flag;
    };
    output: null;
  };
  /** Deletes a role that is not built in, with what was given by it. */
  "DELETE /access/roles/{roleid}": {
    params: {
      /** Name of the role. */
      roleid: string;
    };
    output: null;
  };
  /** Lists who has which role on what, as far as the caller may see it. */
  "GET /access/acl": {
    params: Record<string, never>;
    output: Array<AclEntry>;
  };
  /** Gives or takes roles on a path. */
  "PUT /access/acl": {
    params: {
      /** Path, e.g. `/vms/100`, `/storage/local` or `/`. */
      path: string;
      /** Roles, separated by commas. */
      roles: string;
      /** Users, separated by commas. */
      users?: string;
      /** Groups, separated by commas. */
      groups?: string;
      /** API tokens, separated by commas. */
      tokens?: string;
      /** Whether it holds for what lies below, too (default 1). */
      propagate?: Flag;
      /** Take the roles away instead of giving them. */
      delete?: Flag;
    };
    output: null;
  };
  /** Lists the pools that the caller may see, or shows one. */
  "GET /pools": {
    params: {
      /** Only this one, with what is in it. */
      poolid?: string;
      /** Only what is of this kind in it. */
      type?: "qemu" | "lxc" | "storage";
    };
    output: Array<PoolEntry>;
  };
  /** Creates a pool. */
  "POST /pools": {
    params: {
      /** Name of the pool; `parent/child` lies in the pool `parent`. */
      poolid: string;
      /** Description. */
      comment?: string;
    };
    output: null;
  };
  /** Changes a pool, or puts guests and storages into it or takes them out. */
  "PUT /pools": {
    params: {
      /** Name of the pool. */
      poolid: string;
      /** Description. */
      comment?: string;
      /** Guests to put into the pool, separated by commas. */
      vms?: string;
      /** Storages to put into the pool, separated by commas. */
      storage?: string;
      /** Take guests and storages out of the pool instead. */
      delete?: Flag;
      /** Take guests out of the pools that they are in. */
      "allow-move"?: Flag;
    };
    output: null;
  };
  /** Deletes a pool with nothing in it. */
  "DELETE /pools": {
    params: {
      /** Name of the pool. */
      poolid: string;
    };
    output: null;
  };
  /** Shows a pool with what is in it. */
  "GET /pools/{poolid}": {
    params: {
      /** Name of the pool. */
      poolid: string;
      /** Only what is of this kind in it. */
      type?: "qemu" | "lxc" | "storage";
    };
    output: Pool;
  };
  /** Changes a pool, as `PUT /pools` does. */
  "PUT /pools/{poolid}": {
    params: {
      /** Name of the pool. */
      poolid: string;
      /** Description. */
      comment?: string;
      /** Guests to put into the pool, separated by commas. */
      vms?: string;
      /** Storages to put into the pool, separated by commas. */
      storage?: string;
      /** Take guests and storages out of the pool instead. */
      delete?: Flag;
      /** Take guests out of the pools that they are in. */
      "allow-move"?: Flag;
    };
    output: null;
  };
  /** Deletes a pool with nothing in it, as `DELETE /pools` does. */
  "DELETE /pools/{poolid}": {
    params: {
      /** Name of the pool. */
      poolid: string;
    };
    output: null;
  };
  /** Lists who changed what and who failed to log in, the newest first. */
  "GET /cluster/log": {
    params: {
      /** Most entries to show (default 50). */
      max?: number;
    };
    output: Array<LogEntry>;
  };
  /** Lists nodes, guests, storages and pools that the caller may see, with their figures. */
  "GET /cluster/resources": {
    params: {
      /** Only this kind. */
      type?: "vm" | "storage" | "node" | "sdn";
    };
    output: Array<Resource>;
  };
  /** Finds a free number for a guest. */
  "GET /cluster/nextid": {
    params: {
      /** Only say whether this number is free. */
      vmid?: number;
    };
    output: string;
  };
  /** Shows the members of the cluster. */
  "GET /cluster/status": {
    params: Record<string, never>;
    output: Array<ClusterEntry>;
  };
  /** Shows the options of the whole cluster. */
  "GET /cluster/options": {
    params: Record<string, never>;
    output: ClusterOptions;
  };
  /** Changes options of the whole cluster. */
  "PUT /cluster/options": {
    params: {
      /** Kind of console an interface should open. */
      console?: "applet" | "vv" | "html5" | "xtermjs";
      /** Keyboard layout that an interface should take for granted. */
      keyboard?: "de" | "de-ch" | "da" | "en-gb" | "en-us" | "es" | "fi" | "fr" | "fr-be" | "fr-ca" | "fr-ch" | "hu" | "is" | "it" | "ja" | "lt" | "mk" | "nl" | "no" | "pl" | "pt" | "pt-br" | "sv" | "sl" | "tr";
      /** Language that an interface should take for granted. */
      language?: "ar" | "ca" | "da" | "de" | "en" | "es" | "eu" | "fa" | "fr" | "hr" | "he" | "it" | "ja" | "ka" | "kr" | "nb" | "nl" | "nn" | "pl" | "pt_BR" | "ru" | "sl" | "sv" | "tr" | "ukr" | "zh_CN" | "zh_TW";
      /** First bytes of hardware addresses that are made up (default BC:24:11). */
      mac_prefix?: string;
      /** Numbers to look among for a free one: `lower=100,upper=1000000`, without the upper. */
      "next-id"?: string;
      /** Free text about the cluster. */
      description?: string;
      /** Options to put back to their defaults, separated by commas. */
      delete?: string;
    };
    output: null;
  };
  /** Lists the nodes of the cluster's configuration; a node that stands alone has none. */
  "GET /cluster/config/nodes": {
    params: Record<string, never>;
    output: Array<ConfiguredNode>;
  };
  /** Shows how members of the cluster talk to one another; a node that stands alone has no settings. */
  "GET /cluster/config/totem": {
    params: Record<string, never>;
    output: ClusterSettings;
  };
  /** Shows the device that votes in a cluster without a majority; a node that stands alone has none. */
  "GET /cluster/config/qdevice": {
    params: Record<string, never>;
    output: ClusterSettings;
  };
  /** Lists the kinds of mapping. */
  "GET /cluster/mapping": {
    params: Record<string, never>;
    output: Array<Child>;
  };
  /** Lists the mapped directories that the caller may see. */
  "GET /cluster/mapping/dir": {
    params: {
      /** Look whether each of them is there on this node. */
      "check-node"?: string;
    };
    output: Array<DirMappingInfo>;
  };
  /** Maps a directory. */
  "POST /cluster/mapping/dir": {
    params: {
      /** Name of the mapping. */
      id: string;
      /** Description. */
      description?: string;
      /** Where it lies: `node=NAME,path=/DIRECTORY`, once for each node. */
      map: Array<string>;
    };
    output: null;
  };
  /** Shows a mapped directory. */
  "GET /cluster/mapping/dir/{id}": {
    params: {
      /** Name of the mapping. */
      id: string;
    };
    output: DirMappingInfo;
  };
  /** Changes a mapped directory. Guests that run keep what they were started with. */
  "PUT /cluster/mapping/dir/{id}": {
    params: {
      /** Name of the mapping. */
      id: string;
      /** Description. */
      description?: string;
      /** Where it lies from now on, on all nodes. */
      map?: Array<string>;
      /** Settings to remove, separated by commas; only `description`. */
      delete?: string;
      /** Refuse if the mapping was changed since it had this digest. */
      digest?: string;
    };
    output: null;
  };
  /** Forgets the mapping of a directory, which stays as it is. Guests that use it do not start any more. */
  "DELETE /cluster/mapping/dir/{id}": {
    params: {
      /** Name of the mapping. */
      id: string;
    };
    output: null;
  };
  /** Lists the nodes. */
  "GET /nodes": {
    params: Record<string, never>;
    output: Array<NodeEntry>;
  };
  /** Shows what there is about a node. */
  "GET /nodes/{node}": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<Child>;
  };
  /** Shows state and figures of a node. */
  "GET /nodes/{node}/status": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: NodeStatus;
  };
  /** Shows the settings of a node. */
  "GET /nodes/{node}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only this one. */
      property?: "acme" | "acmedomain0" | "acmedomain1" | "acmedomain2" | "acmedomain3" | "acmedomain4" | "acmedomain5" | "description" | "on-host-shutdown";
    };
    output: NodeConfigShown;
  };
  /** Changes the settings of a node. */
  "PUT /nodes/{node}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** What happens to running virtual machines that do not say themselves when the node goes
       * down (default: they are shut down). */
      "on-host-shutdown"?: "shutdown" | "suspend";
      /** Free text about the node. */
      description?: string;
      /** Who orders the node's certificate, and names that are proved by a page on port 80. */
      acme?: string;
      /** Settings to put back to their defaults, separated by commas. */
      delete?: string;
      /** Refuse the change if the settings have another digest. */
      digest?: string;
      /** A name of the node's certificate, and which plugin proves it. */
      [key: `acmedomain${number}`]: string | undefined;
    };
    output: null;
  };
  /** Reboots a node or switches it off. */
  "POST /nodes/{node}/status": {
    params: {
      /** Name of the node. */
      node: string;
      /** What to do. */
      command: "reboot" | "shutdown";
    };
    output: null;
  };
  /** Shows the time of a node. */
  "GET /nodes/{node}/time": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: NodeTime;
  };
  /** Sets the time zone of a node. */
  "PUT /nodes/{node}/time": {
    params: {
      /** Name of the node. */
      node: string;
      /** Time zone, e.g. `Europe/Berlin`. */
      timezone: string;
    };
    output: null;
  };
  /** Shows the name servers of a node. */
  "GET /nodes/{node}/dns": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: NodeDns;
  };
  /** Sets the name servers of a node and the domain that it searches. */
  "PUT /nodes/{node}/dns": {
    params: {
      /** Name of the node. */
      node: string;
      /** Domain that short names are searched in. */
      search: string;
      /** Address of the first name server. */
      dns1?: string;
      /** Address of the second name server. */
      dns2?: string;
      /** Address of the third name server. */
      dns3?: string;
    };
    output: null;
  };
  /** Says that there is no support contract. */
  "GET /nodes/{node}/subscription": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Subscription;
  };
  /** Lists the network interfaces of a node. */
  "GET /nodes/{node}/network": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only this kind; `any_bridge` is every kind of bridge. */
      type?: "bridge" | "any_bridge" | "any_local_bridge" | "eth" | "bond" | "vlan";
    };
    output: Array<NetworkInterface>;
  };
  /** Shows a network interface of a node. */
  "GET /nodes/{node}/network/{iface}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the interface. */
      iface: string;
    };
    output: NetworkInterface;
  };
  /** Lists the services of a node. */
  "GET /nodes/{node}/services": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<ServiceInfo>;
  };
  /** Shows how a service of a node is. */
  "GET /nodes/{node}/services/{service}/state": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the service. */
      service: "basalt-gateway" | "basalt-node" | "dbus" | "sshd" | "systemd-journald" | "systemd-networkd" | "systemd-resolved" | "systemd-timesyncd" | "systemd-udevd";
    };
    output: ServiceInfo;
  };
  /** Starts a service of a node. */
  "POST /nodes/{node}/services/{service}/start": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the service. */
      service: "basalt-gateway" | "basalt-node" | "dbus" | "sshd" | "systemd-journald" | "systemd-networkd" | "systemd-resolved" | "systemd-timesyncd" | "systemd-udevd";
    };
    output: string;
  };
  /** Stops a service of a node, if the node can be reached without it. */
  "POST /nodes/{node}/services/{service}/stop": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the service. */
      service: "basalt-gateway" | "basalt-node" | "dbus" | "sshd" | "systemd-journald" | "systemd-networkd" | "systemd-resolved" | "systemd-timesyncd" | "systemd-udevd";
    };
    output: string;
  };
  /** Stops a service of a node and starts it again. */
  "POST /nodes/{node}/services/{service}/restart": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the service. */
      service: "basalt-gateway" | "basalt-node" | "dbus" | "sshd" | "systemd-journald" | "systemd-networkd" | "systemd-resolved" | "systemd-timesyncd" | "systemd-udevd";
    };
    output: string;
  };
  /** Lets a service of a node read its configuration again. */
  "POST /nodes/{node}/services/{service}/reload": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the service. */
      service: "basalt-gateway" | "basalt-node" | "dbus" | "sshd" | "systemd-journald" | "systemd-networkd" | "systemd-resolved" | "systemd-timesyncd" | "systemd-udevd";
    };
    output: string;
  };
  /** Reads the journal of a node line by line. */
  "GET /nodes/{node}/syslog": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the first line (default 0). */
      start?: number;
      /** So many lines at most (default 50). */
      limit?: number;
      /** Since this local time, `YYYY-MM-DD` with or without `HH:MM` or `HH:MM:SS`. */
      since?: string;
      /** Until this local time. */
      until?: string;
      /** Only of this unit. */
      service?: string;
    };
    output: Array<SyslogLine>;
  };
  /** Reads the journal of a node from place to place. */
  "GET /nodes/{node}/journal": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only the last so many entries (default 1000). */
      lastentries?: number;
      /** Since this second since 1970. */
      since?: number;
      /** Until this second since 1970. */
      until?: number;
      /** What comes after this place. */
      startcursor?: string;
      /** What comes before this place. */
      endcursor?: string;
    };
    output: Array<string>;
  };
  /** Shows the file of host names of a node. */
  "GET /nodes/{node}/hosts": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: HostsFile;
  };
  /** Replaces the file of host names of a node. */
  "POST /nodes/{node}/hosts": {
    params: {
      /** Name of the node. */
      node: string;
      /** Its content: an address and names in each line. */
      data: string;
      /** Refuse the change if the file has another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Describes a node in one text: for whoever looks for a fault. */
  "GET /nodes/{node}/report": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: string;
  };
  /** Lists the bytes through the cards of running guests. */
  "GET /nodes/{node}/netstat": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<PortTraffic>;
  };
  /** Lists the disks of a node. */
  "GET /nodes/{node}/disks/list": {
    params: {
      /** Name of the node. */
      node: string;
      /** With partitions (default no). */
      "include-partitions"?: Flag;
      /** Without asking disks for their health (default no). */
      skipsmart?: Flag;
      /** Only those that are this. */
      type?: "unused" | "journal_disks";
    };
    output: Array<DiskInfo>;
  };
  /** Asks a disk of a node how it is (SMART). */
  "GET /nodes/{node}/disks/smart": {
    params: {
      /** Name of the node. */
      node: string;
      /** Path of the disk, `/dev/sda`. */
      disk: string;
      /** Whether it is well and nothing else (default no). */
      healthonly?: Flag;
    };
    output: SmartReport;
  };
  /** Lists the PCI devices of a node. */
  "GET /nodes/{node}/hardware/pci": {
    params: {
      /** Name of the node. */
      node: string;
      /** Classes to leave out, as the beginning of their hexadecimal number, separated by ';'
       * (default `05;06;0b`: memory, bridges and processors). */
      "pci-class-blacklist"?: string;
      /** With everything that is known, rather than the id alone (default yes). */
      verbose?: Flag;
    };
    output: Array<PciDevice>;
  };
  /** Lists what can be asked about a PCI device. */
  "GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Address of the device, `0000:01:00.0`, or name of a mapping. */
      "pci-id-or-mapping": string;
    };
    output: Array<PciMethod>;
  };
  /** Lists the kinds of parts into which a PCI device can be divided among guests. */
  "GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev": {
    params: {
      /** Name of the node. */
      node: string;
      /** Address of the device, `0000:01:00.0`, or name of a mapping. */
      "pci-id-or-mapping": string;
    };
    output: Array<MdevType>;
  };
  /** Lists the USB devices of a node. */
  "GET /nodes/{node}/hardware/usb": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<UsbDevice>;
  };
  /** Lists the processors that virtual machines of a node can have. */
  "GET /nodes/{node}/capabilities/qemu/cpu": {
    params: {
      /** Name of the node. */
      node: string;
      /** Architecture (default x86_64). */
      arch?: "x86_64" | "aarch64";
    };
    output: Array<CpuModel>;
  };
  /** Lists the features of processors that virtual machines can have beside those of their model. */
  "GET /nodes/{node}/capabilities/qemu/cpu-flags": {
    params: {
      /** Name of the node. */
      node: string;
      /** Architecture (default x86_64). */
      arch?: "x86_64" | "aarch64";
    };
    output: Array<CpuFeature>;
  };
  /** Says what of a virtual machine's state a move to another node could take along. */
  "GET /nodes/{node}/capabilities/qemu/migration": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: MigrationAbility;
  };
  /** Lists the machines that virtual machines of a node can be. */
  "GET /nodes/{node}/capabilities/qemu/machines": {
    params: {
      /** Name of the node. */
      node: string;
      /** Architecture (default x86_64). */
      arch?: "x86_64" | "aarch64";
    };
    output: Array<MachineModel>;
  };
  /** Lists the volume groups of LVM on a node, and what they are made of. */
  "GET /nodes/{node}/disks/lvm": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: VolumeGroups;
  };
  /** Lists the thin pools of LVM on a node. */
  "GET /nodes/{node}/disks/lvmthin": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<ThinPool>;
  };
  /** Lists the pools of ZFS on a node. */
  "GET /nodes/{node}/disks/zfs": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<ZfsPool>;
  };
  /** Shows how a pool of ZFS is, and the devices that it is made of. */
  "GET /nodes/{node}/disks/zfs/{name}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the pool. */
      name: string;
    };
    output: ZfsPoolDetail;
  };
  /** Lists the mappings of PCI devices that the caller may see. */
  "GET /cluster/mapping/pci": {
    params: {
      /** Node whose devices are compared with what the mappings say. */
      "check-node"?: string;
    };
    output: Array<PciMappingEntry>;
  };
  /** Creates a mapping of PCI devices. */
  "POST /cluster/mapping/pci": {
    params: {
      /** Name of the mapping. */
      id: string;
      /** Description. */
      description?: string;
      /** Whether a guest that has such a device can be moved while it runs; none can. */
      "live-migration-capable"?: Flag;
      /** Devices: `id=VENDOR:DEVICE,node=NODE,path=ADDRESS[;…][,iommugroup=…][,subsystem-id=…]`. A guest
       * gets those of the first of its node that are free. */
      map: Array<string>;
      /** Whether the devices are divided among guests; none can be. */
      mdev?: Flag;
    };
    output: null;
  };
  /** Shows a mapping of PCI devices. */
  "GET /cluster/mapping/pci/{id}": {
    params: {
      /** Name of the mapping. */
      id: string;
    };
    output: PciMappingInfo;
  };
  /** Changes a mapping of PCI devices. */
  "PUT /cluster/mapping/pci/{id}": {
    params: {
      /** Name of the mapping. */
      id: string;
      /** Settings to remove, separated by commas. */
      delete?: string;
      /** Description. */
      description?: string;
      /** Change only what has this digest. */
      digest?: string;
      /** Whether a guest that has such a device can be moved while it runs; none can. */
      "live-migration-capable"?: Flag;
      /** Devices, in place of those before. */
      map?: Array<string>;
      /** Whether the devices are divided among guests; none can be. */
      mdev?: Flag;
    };
    output: null;
  };
  /** Removes a mapping of PCI devices. Machines that name it do not start any more. */
  "DELETE /cluster/mapping/pci/{id}": {
    params: {
      /** Name of the mapping. */
      id: string;
    };
    output: null;
  };
  /** Brings a certificate for the node to show on port 8006. */
  "POST /nodes/{node}/certificates/custom": {
    params: {
      /** Name of the node. */
      node: string;
      /** The certificate and those that lead to its root, in PEM, the node's own first. */
      certificates: string;
      /** Its private key in PEM (PKCS #8); the key that is there when absent. */
      key?: string;
      /** Replace one that was brought before. */
      force?: Flag;
      /** Show it at once, to new connections, rather than from the gateway's next start on. */
      restart?: Flag;
    };
    output: Certificate;
  };
  /** Goes back to the node's own certificate. */
  "DELETE /nodes/{node}/certificates/custom": {
    params: {
      /** Name of the node. */
      node: string;
      /** Show it at once, to new connections, rather than from the gateway's next start on. */
      restart?: Flag;
    };
    output: null;
  };
  /** Shows the certificate of a node. */
  "GET /nodes/{node}/certificates/info": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<Certificate>;
  };
  /** Lists the accounts at authorities. */
  "GET /cluster/acme/account": {
    params: Record<string, never>;
    output: Array<AcmeAccountEntry>;
  };
  /** Makes an account at an authority. */
  "POST /cluster/acme/account": {
    params: {
      /** Its name here (default `default`). */
      name?: string;
      /** Mail addresses where the authority can reach somebody, separated by commas. */
      contact: string;
      /** Address of the authority's directory, `https://…` (default that of Let's Encrypt). */
      directory?: string;
      /** Address of the terms of service that you agree to, as the authority gives it. */
      tos_url?: string;
      /** Name of the key that the authority gave you for this, if it wants one. */
      "eab-kid"?: string;
      /** The key, in base64 for addresses; used once and not kept. */
      "eab-hmac-key"?: string;
    };
    output: string;
  };
  /** Shows an account. */
  "GET /cluster/acme/account/{name}": {
    params: {
      /** Name of the account. */
      name: string;
    };
    output: AcmeAccount;
  };
  /** Tells the authority who can be reached about an account, and reads the account anew. */
  "PUT /cluster/acme/account/{name}": {
    params: {
      /** Name of the account. */
      name: string;
      /** Mail addresses where the authority can reach somebody, separated by commas; without, the
       * authority is only asked for the account as it is. */
      contact?: string;
    };
    output: string;
  };
  /** Ends an account at its authority and forgets it. */
  "DELETE /cluster/acme/account/{name}": {
    params: {
      /** Name of the account. */
      name: string;
    };
    output: string;
  };
  /** Shows where the terms of service of an authority are. */
  "GET /cluster/acme/tos": {
    params: {
      /** Address of its directory, `https://…` (default that of Let's Encrypt). One that is neither
       * well known nor that of an account takes Sys.Modify. */
      directory?: string;
    };
    output: unknown;
  };
  /** Shows what an authority says about itself. */
  "GET /cluster/acme/meta": {
    params: {
      /** Address of its directory, `https://…` (default that of Let's Encrypt). One that is neither
       * well known nor that of an account takes Sys.Modify. */
      directory?: string;
    };
    output: AcmeMeta;
  };
  /** Lists well-known authorities. */
  "GET /cluster/acme/directories": {
    params: Record<string, never>;
    output: Array<AcmeDirectory>;
  };
  /** Lists the hooks that plugins can use. */
  "GET /cluster/acme/challenge-schema": {
    params: Record<string, never>;
    output: Array<AcmeChallengeSchema>;
  };
  /** Lists the plugins that prove names. */
  "GET /cluster/acme/plugins": {
    params: {
      /** Only these. */
      type?: "dns" | "standalone";
    };
    output: Array<AcmePlugin>;
  };
  /** Adds a plugin that proves names. */
  "POST /cluster/acme/plugins": {
    params: {
      /** Name. */
      id: string;
      /** How it proves names. */
      type: "dns" | "standalone";
      /** The hook that sets records: the name of a program in /var/lib/basalt/acme/hooks. */
      api?: string;
      /** What the hook is given on its standard input: lines KEY=value, in base64. */
      data?: string;
      /** Do not use it. */
      disable?: Flag;
      /** Nodes that may use it, separated by commas (default all). */
      nodes?: string;
      /** Seconds until everybody can see a record (default 30). */
      "validation-delay"?: number;
    };
    output: null;
  };
  /** Shows a plugin. */
  "GET /cluster/acme/plugins/{id}": {
    params: {
      /** Name of the plugin. */
      id: string;
    };
    output: AcmePlugin;
  };
  /** Changes a plugin. */
  "PUT /cluster/acme/plugins/{id}": {
    params: {
      /** Name of the plugin. */
      id: string;
      /** The hook that sets records: the name of a program in /var/lib/basalt/acme/hooks. */
      api?: string;
      /** What the hook is given on its standard input: lines KEY=value, in base64. */
      data?: string;
      /** Do not use it. */
      disable?: Flag;
      /** Nodes that may use it, separated by commas (default all). */
      nodes?: string;
      /** Seconds until everybody can see a record (default 30). */
      "validation-delay"?: number;
      /** Settings to put back to their defaults, separated by commas. */
      delete?: string;
      /** Refuse the change if the plugin has another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Removes a plugin. */
  "DELETE /cluster/acme/plugins/{id}": {
    params: {
      /** Name of the plugin. */
      id: string;
    };
    output: null;
  };
  /** Orders the certificate that the node's settings describe, and shows it on port 8006. */
  "POST /nodes/{node}/certificates/acme/certificate": {
    params: {
      /** Name of the node. */
      node: string;
      /** Replace a certificate that was brought or ordered before. */
      force?: Flag;
    };
    output: string;
  };
  /** Orders the node's certificate anew when its end is near. The node does so by itself. */
  "PUT /nodes/{node}/certificates/acme/certificate": {
    params: {
      /** Name of the node. */
      node: string;
      /** Renew it though its end is not near. */
      force?: Flag;
    };
    output: string;
  };
  /** Takes the node's certificate back at its authority, and goes back to the node's own. */
  "DELETE /nodes/{node}/certificates/acme/certificate": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: string;
  };
  /** Lists the tasks of a node that the caller may see, newest first. */
  "GET /nodes/{node}/tasks": {
    params: {
      /** Name of the node. */
      node: string;
      /** Entries to skip. */
      start?: number;
      /** Most entries to show (default 50). */
      limit?: number;
      /** Only tasks of this guest. */
      vmid?: number;
      /** Only tasks of users whose id has this in it. */
      userfilter?: string;
      /** Only tasks of this kind. */
      typefilter?: string;
      /** Only tasks that ended so, separated by commas: ok, error, warning, unknown. */
      statusfilter?: string;
      /** Only tasks that failed. */
      errors?: Flag;
      /** Only tasks that started at this time or later, in seconds since 1970. */
      since?: number;
      /** Only tasks that started at this time or earlier. */
      until?: number;
      /** Whether to list tasks that ended, that still run, or both (default archive). */
      source?: "archive" | "active" | "all";
    };
    output: Array<TaskEntry>;
  };
  /** Shows what there is about a task. */
  "GET /nodes/{node}/tasks/{upid}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Id of the task. */
      upid: string;
    };
    output: Array<Child>;
  };
  /** Shows the state of a task. */
  "GET /nodes/{node}/tasks/{upid}/status": {
    params: {
      /** Name of the node. */
      node: string;
      /** Id of the task. */
      upid: string;
    };
    output: TaskStatus;
  };
  /** Shows the log of a task. */
  "GET /nodes/{node}/tasks/{upid}/log": {
    params: {
      /** Name of the node. */
      node: string;
      /** Id of the task. */
      upid: string;
      /** Lines to skip. */
      start?: number;
      /** Most lines to show (default 50; 0 is all). */
      limit?: number;
    };
    output: Array<LogLine>;
  };
  /** Stops a task. */
  "DELETE /nodes/{node}/tasks/{upid}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Id of the task. */
      upid: string;
    };
    output: null;
  };
  /** Lists the latest tasks of the cluster that the caller may see. */
  "GET /cluster/tasks": {
    params: Record<string, never>;
    output: Array<TaskEntry>;
  };
  /** Shows what is in the slots, and why an update was undone. */
  "GET /nodes/{node}/update/status": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: UpdateStatus;
  };
  /** Asks the configured channel for its latest version. */
  "GET /nodes/{node}/update/available": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: UpdateAvailable;
  };
  /** Installs an update into the slot that does not run. */
  "POST /nodes/{node}/update/install": {
    params: {
      /** Name of the node. */
      node: string;
      /** A bundle on the node, by its absolute path. */
      file?: string;
      /** A bundle on a web server. */
      url?: string;
      /** The channel (default the one that is configured). */
      channel?: "stable" | "testing";
      /** Also install a version older than the running one. */
      "allow-downgrade"?: Flag;
      /** Reboot into it at once. */
      reboot?: Flag;
    };
    output: string;
  };
  /** Uploads a bundle and installs it into the slot that does not run. */
  "POST /nodes/{node}/update/upload": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the file; of no consequence. */
      filename: string;
      /** Also install a version older than the running one. */
      "allow-downgrade"?: Flag;
      /** Reboot into it at once. */
      reboot?: Flag;
    };
    output: string;
  };
  /** Boots the other slot at the next start; shows its version. */
  "POST /nodes/{node}/update/rollback": {
    params: {
      /** Name of the node. */
      node: string;
      /** Reboot into it at once. */
      reboot?: Flag;
    };
    output: string;
  };
  /** Shows where updates come from. */
  "GET /nodes/{node}/update/config": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: UpdateConfig;
  };
  /** Says where updates come from. */
  "PUT /nodes/{node}/update/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Folder on a web server that has the latest bundle of each channel; empty for none. */
      url?: string;
      /** The channel that is followed. */
      channel?: "stable" | "testing";
      /** Certificates (PEM) of authorities that vouch for the server, besides the usual ones; empty
       * for none. */
      ca?: string;
    };
    output: null;
  };
  /** Lists the storages that the caller may see. */
  "GET /storage": {
    params: {
      /** Only those with this driver. */
      type?: "dir" | "lvmthin" | "zfspool";
    };
    output: Array<StorageInfo>;
  };
  /** Shows the configuration of a storage. */
  "GET /storage/{storage}": {
    params: {
      /** Name of the storage. */
      storage: string;
    };
    output: StorageInfo;
  };
  /** Adds a storage. */
  "POST /storage": {
    params: {
      /** Name of the storage. */
      storage: string;
      /** Driver. */
      type: "dir" | "lvmthin" | "zfspool";
      /** What may lie on it, separated by commas (default all that its driver can hold). */
      content?: string;
      /** Nodes that have it, separated by commas (default all). */
      nodes?: string;
      /** Whether it is switched off. */
      disable?: Flag;
      /** Directory of a `dir` storage; made if it is not there. */
      path?: string;
      /** Volume group of an `lvmthin` storage. */
      vgname?: string;
      /** Thin pool of an `lvmthin` storage, which must be there. */
      thinpool?: string;
      /** Dataset of a `zfspool` storage, which must be there: a pool, or a file system in one. */
      pool?: string;
      /** Block size of new volumes of a `zfspool` storage (default 16k). */
      blocksize?: string;
      /** Whether new volumes of a `zfspool` storage take no room before they are written. */
      sparse?: Flag;
    };
    output: StorageMade;
  };
  /** Changes the configuration of a storage. */
  "PUT /storage/{storage}": {
    params: {
      /** Name of the storage. */
      storage: string;
      /** What may lie on it, separated by commas. */
      content?: string;
      /** Nodes that have it, separated by commas. */
      nodes?: string;
      /** Whether it is switched off. */
      disable?: Flag;
      /** Settings to put back to their defaults, separated by commas: content, disable, nodes. */
      delete?: string;
      /** Refuse the change if the configuration has another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Forgets a storage. What lies on it stays there. */
  "DELETE /storage/{storage}": {
    params: {
      /** Name of the storage. */
      storage: string;
    };
    output: null;
  };
  /** Lists the storages of a node with their space. */
  "GET /nodes/{node}/storage": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only those for one of these kinds of content, separated by commas. */
      content?: string;
      /** Only this one. */
      storage?: string;
      /** Only those that are switched on. */
      enabled?: Flag;
    };
    output: Array<StorageStatus>;
  };
  /** Shows state and space of a storage. */
  "GET /nodes/{node}/storage/{storage}/status": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the storage. */
      storage: string;
    };
    output: StorageStatus;
  };
  /** Lists the volumes of a storage. */
  "GET /nodes/{node}/storage/{storage}/content": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the storage. */
      storage: string;
      /** Only this kind of content. */
      content?: "images" | "rootdir" | "vztmpl" | "iso" | "import" | "snippets" | "backup" | "kernel";
      /** Only volumes of this guest. */
      vmid?: number;
    };
    output: Array<VolumeEntry>;
  };
  /** Makes an empty volume. */
  "POST /nodes/{node}/storage/{storage}/content": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the storage. */
      storage: string;
      /** Guest that it belongs to. */
      vmid: number;
      /** Name, e.g. `vm-100-disk-0`; in a directory with its format behind it, `vm-100-disk-0.raw`. */
      filename: string;
      /** Size, e.g. `4G`; a bare number is KiB. */
      size: string;
      /** Format; only raw. */
      format?: "raw" | "qcow2";
    };
    output: string;
  };
  /** Shows a volume. */
  "GET /nodes/{node}/storage/{storage}/content/{volume}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the storage. */
      storage: string;
      /** Id of the volume, with or without the storage's name before it. */
      volume: string;
    };
    output: VolumeInfo;
  };
  /** Deletes a volume. */
  "DELETE /nodes/{node}/storage/{storage}/content/{volume}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the storage. */
      storage: string;
      /** Id of the volume, with or without the storage's name before it. */
      volume: string;
    };
    output: string;
  };
  /** Uploads a file onto a storage, in place of one that has its name. */
  "POST /nodes/{node}/storage/{storage}/upload": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the storage. */
      storage: string;
      /** What the file is: iso, vztmpl, import or kernel. */
      content: "images" | "rootdir" | "vztmpl" | "iso" | "import" | "snippets" | "backup" | "kernel";
      /** Name of the file on the storage (default the file's own). */
      filename: string;
      /** Checksum that the file must have, in hexadecimal. */
      checksum?: string;
      /** Kind of `checksum`. */
      "checksum-algorithm"?: "sha256" | "sha512";
    };
    output: string;
  };
  /** Lists the virtual machines that the caller may see. */
  "GET /nodes/{node}/qemu": {
    params: {
      /** Name of the node. */
      node: string;
      /** With the figures of those that run; they are always there. */
      full?: Flag;
    };
    output: Array<GuestStatus>;
  };
  /** Creates a virtual machine. */
  "POST /nodes/{node}/qemu": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number, free in the whole cluster. */
      vmid: number;
      /** Start it when it is made. */
      start?: Flag;
      /** Storage of disks that name none. */
      storage?: string;
      /** Pool to put it into. */
      pool?: string;
      /** Name, a DNS name. */
      name?: string;
      /** Free text shown with the guest. */
      description?: string;
      /** Tags, separated by ';'. */
      tags?: string;
      /** Memory in MiB (default 512). More can come while the machine runs, and go again, if it was started
       *  with `memory` in `hotplug` and its guest knows virtio-mem. */
      memory?: number;
      /** Cores per socket (default 1). */
      cores?: number;
      /** Sockets (default 1). */
      sockets?: number;
      /** Processors that are there at the start (default: all that cores and sockets make). More of
       *  them can come while the machine runs, or some go, if `hotplug` has `cpu`. */
      vcpus?: number;
      /** Processors: `host` (default), or a level that is the same on other hosts, `x86-64-v2-AES`,
       *  `x86-64-v3` or `x86-64-v4`; `flags=+pcid;-aes` adds and removes features, `hidden=1` hides KVM. */
      cpu?: string;
      /** Processor time that it may use, in processors of the host (default 0, no limit). */
      cpulimit?: number;
      /** Its share of processor time against other guests (default 100); above 10000 is as 10000. */
      cpuunits?: number;
      /** Processors of the host that it runs on, e.g. `0,5,8-11` (default all). */
      affinity?: string;
      /** Start with the host. */
      onboot?: Flag;
      /** Order and delays of the start with the host. */
      startup?: string;
      /** What happens to it when the host goes down (default: as the node says). */
      "on-host-shutdown"?: "shutdown" | "suspend";
      /** Refuse to remove the guest or its disks. */
      protection?: Flag;
      /** Whether it is a template: it never runs, and clones share its disks. A machine becomes one by
       *  a method of its own. */
      template?: Flag;
      /** What changes at once while the machine runs, e.g. `network,disk` (default
       *  `network,disk,usb`); `0` leaves all to the next start. */
      hotplug?: string;
      /** Firmware. A machine without `kernel` boots UEFI (OVMF), whatever is set here: `seabios`, which
       *  clients send by default, is taken and means the same. */
      bios?: "seabios" | "ovmf";
      /** Where the firmware keeps its variables: `STORAGE:1` for a new volume (its size does not
       *  matter), or a volume. Without it they are lost when the machine is switched off. */
      efidisk0?: string;
      /** A trusted platform module (TPM 2.0), and where it keeps its state: `STORAGE:1` for a new volume
       *  (its size does not matter), or a volume. */
      tpmstate0?: string;
      /** What the machine says it is: `uuid=…[,manufacturer=…][,product=…]…`; a UUID is made up for a
       *  machine that is created without. */
      smbios1?: string;
      /** Identity that says whether the machine was rolled back; no effect. */
      vmgenid?: string;
      /** Kernel to boot: a volume of content kind `kernel`. */
      kernel?: string;
      /** Initial RAM disk for the kernel: a volume of content kind `kernel`. */
      initrd?: string;
      /** Command line of the kernel (default `console=ttyS0 root=/dev/vda rw`). */
      cmdline?: string;
      /** Boot order, e.g. `order=virtio0;net0`: the first disk named becomes /dev/vda, and firmware
       *  tries the devices in this order. */
      boot?: string;
      /** Kind of guest system, e.g. `l26`. Windows (`wvista`, `w2k8`, `win7`, `win8`, `win10`, `win11`) finds
       *  the interface of Hyper-V; the others have no effect. */
      ostype?: string;
      /** Disk controller; no effect: disks are virtio block devices. */
      scsihw?: string;
      /** Guest agent: with `1` the guest has its port, and shutdowns go through an agent that answers. */
      agent?: string;
      /** Memory in MiB that the guest is asked to make do with, through its balloon (default: all of
       *  `memory`); `0` for no balloon. With `hugepages` the guest keeps all of its memory, and the balloon
       *  only tells how it uses it. */
      balloon?: number;
      /** Size in MiB of the host's huge pages that the memory is made of: `2`, `1024`, or `any` for 1024 where
       *  processor, `memory` and free pages allow it, and 2 otherwise. `memory` is a multiple of it. All
       *  of the memory is taken from the host at the start, and does not change while the machine runs;
       *  1024 does not go with Secure Boot. */
      hugepages?: "any" | "2" | "1024";
      /** Keep huge pages that were made for the machine after it ended, so that it, or another, finds them
       *  at its next start (default off). */
      keephugepages?: Flag;
      /** Whether the guest sees nodes of memory and processors (default off): those that `numa[n]` name, or one
       *  for every socket, with equal parts of both. */
      numa?: Flag;
      /** Pointer that knows its place on the screen (default on). */
      tablet?: Flag;
      /** Watchdog that the guest winds up, and what happens when it does not: `i6300esb` (the only model),
       *  with `action=reset` (default), `shutdown`, `poweroff`, `pause`, or `debug` and `none`, which only
       *  tell of it in the log. */
      watchdog?: string;
      /** Sockets between programs of the host and of the guest (`AF_VSOCK`), without a network (default off):
       *  the guest's context id is the machine's number, so that `ssh vsock/100` on the host reaches machine
       *  100, if its guest's SSH server listens there. They wait while a snapshot takes the memory, and
       *  are closed when the machine goes back to one. */
      vsock?: Flag;
      /** Source of random numbers: `/dev/urandom`, `/dev/random` or `/dev/hwrng`, the generator of the
       *  host, of which the guest gets `max_bytes` (default 1024; 0 for no limit) in a `period` (default
       *  1000 ms). A machine without it has the same device with `/dev/urandom` and no limit, so that no
       *  guest waits for random numbers when it boots. */
      rng0?: string;
      /** Screen: `std`, `virtio`, or none: `none`, and `serial0` to `serial3`, which is then the console.
       *  Default `std`. */
      vga?: string;
      /** Machine type; no effect: there is one. */
      machine?: string;
      /** Power button events; always on. */
      acpi?: "1";
      /** Hardware virtualization; always on. */
      kvm?: "1";
      /** cloud-init: the user that it makes (default: the one of the guest's image). */
      ciuser?: string;
      /** cloud-init: that user's password, or its hash; only the hash is kept, and never shown. */
      cipassword?: string;
      /** cloud-init: that user's public keys of OpenSSH, percent-encoded. */
      sshkeys?: string;
      /** cloud-init: bring the guest's packages up to date at its first boot (default on). */
      ciupgrade?: Flag;
      /** cloud-init: documents of one's own in the place of those that are made of the other
       *  settings: `user=VOLUME,network=VOLUME,meta=VOLUME,vendor=VOLUME`, each a snippet. */
      cicustom?: string;
      /** cloud-init: how it is told; only `nocloud`. */
      citype?: "nocloud";
      /** cloud-init: name servers, separated by blanks; default those of the host. */
      nameserver?: string;
      /** cloud-init: DNS search domain; default that of the host. */
      searchdomain?: string;
      /** Disk: `STORAGE:GIB` for a new one, or a volume; `import-from=` copies one. */
      [key: `virtio${number}`]: string | undefined;
      /** Disk, served as a virtio block device. */
      [key: `scsi${number}`]: string | undefined;
      /** Disk, served as a virtio block device. */
      [key: `sata${number}`]: string | undefined;
      /** Disk, served as a virtio block device; `none,media=cdrom` is an empty drive, and
       *  `STORAGE:cloudinit` one with the settings of cloud-init. */
      [key: `ide${number}`]: string | undefined;
      /** Network card: `virtio[=MAC],bridge=vmbr0`. */
      [key: `net${number}`]: string | undefined;
      /** Devices of the host that are the guest's alone: `01:00.0`, `01:00` for all functions, several
       *  with ';', or `mapping=NAME`; `pcie=1` shows them as PCI Express. Such a machine has no
       *  balloon, its memory does not change while it runs, and it can be neither suspended to disk nor
       *  moved. */
      [key: `hostpci${number}`]: string | undefined;
      /** Node of memory and processors, with `numa`: `cpus=0-3;8,memory=MIB`. All of them together have all of
       *  `memory` and every processor once. `hostnodes=0;1,policy=bind` takes the memory from nodes of the
       *  host (`bind`: no others, `preferred`: others when they have none, `interleave`: in turn). */
      [key: `numa${number}`]: string | undefined;
      /** cloud-init: addresses of the network card of the same number (default `ip=dhcp`). */
      [key: `ipconfig${number}`]: string | undefined;
      /** Serial port: `socket`, a console of its own. The first is always there, set or not. */
      [key: `serial${number}`]: string | undefined;
      /** Volume of the machine that no disk uses. */
      [key: `unused${number}`]: string | undefined;
      /** Directory of the host that the guest mounts by the name of its mapping: `MAPPING[,cache=…]`. */
      [key: `virtiofs${number}`]: string | undefined;
    };
    output: string;
  };
  /** Deletes a virtual machine with its disks. */
  "DELETE /nodes/{node}/qemu/{vmid}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Also remove what else names the guest. Permissions on it and its place in a pool go in
       * any case. */
      purge?: Flag;
      /** Also remove volumes of the guest that its configuration does not name. */
      "destroy-unreferenced-disks"?: Flag;
      /** Stop the guest first if it runs. */
      force?: Flag;
    };
    output: string;
  };
  /** Shows the configuration of a virtual machine. */
  "GET /nodes/{node}/qemu/{vmid}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The configuration that runs, rather than the one of the next start. */
      current?: Flag;
      /** The configuration of this snapshot. */
      snapshot?: string;
    };
    output: WithDigest;
  };
  /** Changes the configuration of a virtual machine and waits until that is done. */
  "PUT /nodes/{node}/qemu/{vmid}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Settings to remove, separated by commas. */
      delete?: string;
      /** Refuse the change if the configuration has another digest. */
      digest?: string;
      /** Name, a DNS name. */
      name?: string;
      /** Free text shown with the guest. */
      description?: string;
      /** Tags, separated by ';'. */
      tags?: string;
      /** Memory in MiB (default 512). More can come while the machine runs, and go again, if it was started
       *  with `memory` in `hotplug` and its guest knows virtio-mem. */
      memory?: number;
      /** Cores per socket (default 1). */
      cores?: number;
      /** Sockets (default 1). */
      sockets?: number;
      /** Processors that are there at the start (default: all that cores and sockets make). More of
       *  them can come while the machine runs, or some go, if `hotplug` has `cpu`. */
      vcpus?: number;
      /** Processors: `host` (default), or a level that is the same on other hosts, `x86-64-v2-AES`,
       *  `x86-64-v3` or `x86-64-v4`; `flags=+pcid;-aes` adds and removes features, `hidden=1` hides KVM. */
      cpu?: string;
      /** Processor time that it may use, in processors of the host (default 0, no limit). */
      cpulimit?: number;
      /** Its share of processor time against other guests (default 100); above 10000 is as 10000. */
      cpuunits?: number;
      /** Processors of the host that it runs on, e.g. `0,5,8-11` (default all). */
      affinity?: string;
      /** Start with the host. */
      onboot?: Flag;
      /** Order and delays of the start with the host. */
      startup?: string;
      /** What happens to it when the host goes down (default: as the node says). */
      "on-host-shutdown"?: "shutdown" | "suspend";
      /** Refuse to remove the guest or its disks. */
      protection?: Flag;
      /** Whether it is a template: it never runs, and clones share its disks. A machine becomes one by
       *  a method of its own. */
      template?: Flag;
      /** What changes at once while the machine runs, e.g. `network,disk` (default
       *  `network,disk,usb`); `0` leaves all to the next start. */
      hotplug?: string;
      /** Firmware. A machine without `kernel` boots UEFI (OVMF), whatever is set here: `seabios`, which
       *  clients send by default, is taken and means the same. */
      bios?: "seabios" | "ovmf";
      /** Where the firmware keeps its variables: `STORAGE:1` for a new volume (its size does not
       *  matter), or a volume. Without it they are lost when the machine is switched off. */
      efidisk0?: string;
      /** A trusted platform module (TPM 2.0), and where it keeps its state: `STORAGE:1` for a new volume
       *  (its size does not matter), or a volume. */
      tpmstate0?: string;
      /** What the machine says it is: `uuid=…[,manufacturer=…][,product=…]…`; a UUID is made up for a
       *  machine that is created without. */
      smbios1?: string;
      /** Identity that says whether the machine was rolled back; no effect. */
      vmgenid?: string;
      /** Kernel to boot: a volume of content kind `kernel`. */
      kernel?: string;
      /** Initial RAM disk for the kernel: a volume of content kind `kernel`. */
      initrd?: string;
      /** Command line of the kernel (default `console=ttyS0 root=/dev/vda rw`). */
      cmdline?: string;
      /** Boot order, e.g. `order=virtio0;net0`: the first disk named becomes /dev/vda, and firmware
       *  tries the devices in this order. */
      boot?: string;
      /** Kind of guest system, e.g. `l26`. Windows (`wvista`, `w2k8`, `win7`, `win8`, `win10`, `win11`) finds
       *  the interface of Hyper-V; the others have no effect. */
      ostype?: string;
      /** Disk controller; no effect: disks are virtio block devices. */
      scsihw?: string;
      /** Guest agent: with `1` the guest has its port, and shutdowns go through an agent that answers. */
      agent?: string;
      /** Memory in MiB that the guest is asked to make do with, through its balloon (default: all of
       *  `memory`); `0` for no balloon. With `hugepages` the guest keeps all of its memory, and the balloon
       *  only tells how it uses it. */
      balloon?: number;
      /** Size in MiB of the host's huge pages that the memory is made of: `2`, `1024`, or `any` for 1024 where
       *  processor, `memory` and free pages allow it, and 2 otherwise. `memory` is a multiple of it. All
       *  of the memory is taken from the host at the start, and does not change while the machine runs;
       *  1024 does not go with Secure Boot. */
      hugepages?: "any" | "2" | "1024";
      /** Keep huge pages that were made for the machine after it ended, so that it, or another, finds them
       *  at its next start (default off). */
      keephugepages?: Flag;
      /** Whether the guest sees nodes of memory and processors (default off): those that `numa[n]` name, or one
       *  for every socket, with equal parts of both. */
      numa?: Flag;
      /** Pointer that knows its place on the screen (default on). */
      tablet?: Flag;
      /** Watchdog that the guest winds up, and what happens when it does not: `i6300esb` (the only model),
       *  with `action=reset` (default), `shutdown`, `poweroff`, `pause`, or `debug` and `none`, which only
       *  tell of it in the log. */
      watchdog?: string;
      /** Sockets between programs of the host and of the guest (`AF_VSOCK`), without a network (default off):
       *  the guest's context id is the machine's number, so that `ssh vsock/100` on the host reaches machine
       *  100, if its guest's SSH server listens there. They wait while a snapshot takes the memory, and
       *  are closed when the machine goes back to one. */
      vsock?: Flag;
      /** Source of random numbers: `/dev/urandom`, `/dev/random` or `/dev/hwrng`, the generator of the
       *  host, of which the guest gets `max_bytes` (default 1024; 0 for no limit) in a `period` (default
       *  1000 ms). A machine without it has the same device with `/dev/urandom` and no limit, so that no
       *  guest waits for random numbers when it boots. */
      rng0?: string;
      /** Screen: `std`, `virtio`, or none: `none`, and `serial0` to `serial3`, which is then the console.
       *  Default `std`. */
      vga?: string;
      /** Machine type; no effect: there is one. */
      machine?: string;
      /** Power button events; always on. */
      acpi?: "1";
      /** Hardware virtualization; always on. */
      kvm?: "1";
      /** cloud-init: the user that it makes (default: the one of the guest's image). */
      ciuser?: string;
      /** cloud-init: that user's password, or its hash; only the hash is kept, and never shown. */
      cipassword?: string;
      /** cloud-init: that user's public keys of OpenSSH, percent-encoded. */
      sshkeys?: string;
      /** cloud-init: bring the guest's packages up to date at its first boot (default on). */
      ciupgrade?: Flag;
      /** cloud-init: documents of one's own in the place of those that are made of the other
       *  settings: `user=VOLUME,network=VOLUME,meta=VOLUME,vendor=VOLUME`, each a snippet. */
      cicustom?: string;
      /** cloud-init: how it is told; only `nocloud`. */
      citype?: "nocloud";
      /** cloud-init: name servers, separated by blanks; default those of the host. */
      nameserver?: string;
      /** cloud-init: DNS search domain; default that of the host. */
      searchdomain?: string;
      /** Disk: `STORAGE:GIB` for a new one, or a volume; `import-from=` copies one. */
      [key: `virtio${number}`]: string | undefined;
      /** Disk, served as a virtio block device. */
      [key: `scsi${number}`]: string | undefined;
      /** Disk, served as a virtio block device. */
      [key: `sata${number}`]: string | undefined;
      /** Disk, served as a virtio block device; `none,media=cdrom` is an empty drive, and
       *  `STORAGE:cloudinit` one with the settings of cloud-init. */
      [key: `ide${number}`]: string | undefined;
      /** Network card: `virtio[=MAC],bridge=vmbr0`. */
      [key: `net${number}`]: string | undefined;
      /** Devices of the host that are the guest's alone: `01:00.0`, `01:00` for all functions, several
       *  with ';', or `mapping=NAME`; `pcie=1` shows them as PCI Express. Such a machine has no
       *  balloon, its memory does not change while it runs, and it can be neither suspended to disk nor
       *  moved. */
      [key: `hostpci${number}`]: string | undefined;
      /** Node of memory and processors, with `numa`: `cpus=0-3;8,memory=MIB`. All of them together have all of
       *  `memory` and every processor once. `hostnodes=0;1,policy=bind` takes the memory from nodes of the
       *  host (`bind`: no others, `preferred`: others when they have none, `interleave`: in turn). */
      [key: `numa${number}`]: string | undefined;
      /** cloud-init: addresses of the network card of the same number (default `ip=dhcp`). */
      [key: `ipconfig${number}`]: string | undefined;
      /** Serial port: `socket`, a console of its own. The first is always there, set or not. */
      [key: `serial${number}`]: string | undefined;
      /** Volume of the machine that no disk uses. */
      [key: `unused${number}`]: string | undefined;
      /** Directory of the host that the guest mounts by the name of its mapping: `MAPPING[,cache=…]`. */
      [key: `virtiofs${number}`]: string | undefined;
    };
    output: null;
  };
  /** Changes the configuration of a virtual machine as a task. */
  "POST /nodes/{node}/qemu/{vmid}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Settings to remove, separated by commas. */
      delete?: string;
      /** Refuse the change if the configuration has another digest. */
      digest?: string;
      /** Name, a DNS name. */
      name?: string;
      /** Free text shown with the guest. */
      description?: string;
      /** Tags, separated by ';'. */
      tags?: string;
      /** Memory in MiB (default 512). More can come while the machine runs, and go again, if it was started
       *  with `memory` in `hotplug` and its guest knows virtio-mem. */
      memory?: number;
      /** Cores per socket (default 1). */
      cores?: number;
      /** Sockets (default 1). */
      sockets?: number;
      /** Processors that are there at the start (default: all that cores and sockets make). More of
       *  them can come while the machine runs, or some go, if `hotplug` has `cpu`. */
      vcpus?: number;
      /** Processors: `host` (default), or a level that is the same on other hosts, `x86-64-v2-AES`,
       *  `x86-64-v3` or `x86-64-v4`; `flags=+pcid;-aes` adds and removes features, `hidden=1` hides KVM. */
      cpu?: string;
      /** Processor time that it may use, in processors of the host (default 0, no limit). */
      cpulimit?: number;
      /** Its share of processor time against other guests (default 100); above 10000 is as 10000. */
      cpuunits?: number;
      /** Processors of the host that it runs on, e.g. `0,5,8-11` (default all). */
      affinity?: string;
      /** Start with the host. */
      onboot?: Flag;
      /** Order and delays of the start with the host. */
      startup?: string;
      /** What happens to it when the host goes down (default: as the node says). */
      "on-host-shutdown"?: "shutdown" | "suspend";
      /** Refuse to remove the guest or its disks. */
      protection?: Flag;
      /** Whether it is a template: it never runs, and clones share its disks. A machine becomes one by
       *  a method of its own. */
      template?: Flag;
      /** What changes at once while the machine runs, e.g. `network,disk` (default
       *  `network,disk,usb`); `0` leaves all to the next start. */
      hotplug?: string;
      /** Firmware. A machine without `kernel` boots UEFI (OVMF), whatever is set here: `seabios`, which
       *  clients send by default, is taken and means the same. */
      bios?: "seabios" | "ovmf";
      /** Where the firmware keeps its variables: `STORAGE:1` for a new volume (its size does not
       *  matter), or a volume. Without it they are lost when the machine is switched off. */
      efidisk0?: string;
      /** A trusted platform module (TPM 2.0), and where it keeps its state: `STORAGE:1` for a new volume
       *  (its size does not matter), or a volume. */
      tpmstate0?: string;
      /** What the machine says it is: `uuid=…[,manufacturer=…][,product=…]…`; a UUID is made up for a
       *  machine that is created without. */
      smbios1?: string;
      /** Identity that says whether the machine was rolled back; no effect. */
      vmgenid?: string;
      /** Kernel to boot: a volume of content kind `kernel`. */
      kernel?: string;
      /** Initial RAM disk for the kernel: a volume of content kind `kernel`. */
      initrd?: string;
      /** Command line of the kernel (default `console=ttyS0 root=/dev/vda rw`). */
      cmdline?: string;
      /** Boot order, e.g. `order=virtio0;net0`: the first disk named becomes /dev/vda, and firmware
       *  tries the devices in this order. */
      boot?: string;
      /** Kind of guest system, e.g. `l26`. Windows (`wvista`, `w2k8`, `win7`, `win8`, `win10`, `win11`) finds
       *  the interface of Hyper-V; the others have no effect. */
      ostype?: string;
      /** Disk controller; no effect: disks are virtio block devices. */
      scsihw?: string;
      /** Guest agent: with `1` the guest has its port, and shutdowns go through an agent that answers. */
      agent?: string;
      /** Memory in MiB that the guest is asked to make do with, through its balloon (default: all of
       *  `memory`); `0` for no balloon. With `hugepages` the guest keeps all of its memory, and the balloon
       *  only tells how it uses it. */
      balloon?: number;
      /** Size in MiB of the host's huge pages that the memory is made of: `2`, `1024`, or `any` for 1024 where
       *  processor, `memory` and free pages allow it, and 2 otherwise. `memory` is a multiple of it. All
       *  of the memory is taken from the host at the start, and does not change while the machine runs;
       *  1024 does not go with Secure Boot. */
      hugepages?: "any" | "2" | "1024";
      /** Keep huge pages that were made for the machine after it ended, so that it, or another, finds them
       *  at its next start (default off). */
      keephugepages?: Flag;
      /** Whether the guest sees nodes of memory and processors (default off): those that `numa[n]` name, or one
       *  for every socket, with equal parts of both. */
      numa?: Flag;
      /** Pointer that knows its place on the screen (default on). */
      tablet?: Flag;
      /** Watchdog that the guest winds up, and what happens when it does not: `i6300esb` (the only model),
       *  with `action=reset` (default), `shutdown`, `poweroff`, `pause`, or `debug` and `none`, which only
       *  tell of it in the log. */
      watchdog?: string;
      /** Sockets between programs of the host and of the guest (`AF_VSOCK`), without a network (default off):
       *  the guest's context id is the machine's number, so that `ssh vsock/100` on the host reaches machine
       *  100, if its guest's SSH server listens there. They wait while a snapshot takes the memory, and
       *  are closed when the machine goes back to one. */
      vsock?: Flag;
      /** Source of random numbers: `/dev/urandom`, `/dev/random` or `/dev/hwrng`, the generator of the
       *  host, of which the guest gets `max_bytes` (default 1024; 0 for no limit) in a `period` (default
       *  1000 ms). A machine without it has the same device with `/dev/urandom` and no limit, so that no
       *  guest waits for random numbers when it boots. */
      rng0?: string;
      /** Screen: `std`, `virtio`, or none: `none`, and `serial0` to `serial3`, which is then the console.
       *  Default `std`. */
      vga?: string;
      /** Machine type; no effect: there is one. */
      machine?: string;
      /** Power button events; always on. */
      acpi?: "1";
      /** Hardware virtualization; always on. */
      kvm?: "1";
      /** cloud-init: the user that it makes (default: the one of the guest's image). */
      ciuser?: string;
      /** cloud-init: that user's password, or its hash; only the hash is kept, and never shown. */
      cipassword?: string;
      /** cloud-init: that user's public keys of OpenSSH, percent-encoded. */
      sshkeys?: string;
      /** cloud-init: bring the guest's packages up to date at its first boot (default on). */
      ciupgrade?: Flag;
      /** cloud-init: documents of one's own in the place of those that are made of the other
       *  settings: `user=VOLUME,network=VOLUME,meta=VOLUME,vendor=VOLUME`, each a snippet. */
      cicustom?: string;
      /** cloud-init: how it is told; only `nocloud`. */
      citype?: "nocloud";
      /** cloud-init: name servers, separated by blanks; default those of the host. */
      nameserver?: string;
      /** cloud-init: DNS search domain; default that of the host. */
      searchdomain?: string;
      /** Disk: `STORAGE:GIB` for a new one, or a volume; `import-from=` copies one. */
      [key: `virtio${number}`]: string | undefined;
      /** Disk, served as a virtio block device. */
      [key: `scsi${number}`]: string | undefined;
      /** Disk, served as a virtio block device. */
      [key: `sata${number}`]: string | undefined;
      /** Disk, served as a virtio block device; `none,media=cdrom` is an empty drive, and
       *  `STORAGE:cloudinit` one with the settings of cloud-init. */
      [key: `ide${number}`]: string | undefined;
      /** Network card: `virtio[=MAC],bridge=vmbr0`. */
      [key: `net${number}`]: string | undefined;
      /** Devices of the host that are the guest's alone: `01:00.0`, `01:00` for all functions, several
       *  with ';', or `mapping=NAME`; `pcie=1` shows them as PCI Express. Such a machine has no
       *  balloon, its memory does not change while it runs, and it can be neither suspended to disk nor
       *  moved. */
      [key: `hostpci${number}`]: string | undefined;
      /** Node of memory and processors, with `numa`: `cpus=0-3;8,memory=MIB`. All of them together have all of
       *  `memory` and every processor once. `hostnodes=0;1,policy=bind` takes the memory from nodes of the
       *  host (`bind`: no others, `preferred`: others when they have none, `interleave`: in turn). */
      [key: `numa${number}`]: string | undefined;
      /** cloud-init: addresses of the network card of the same number (default `ip=dhcp`). */
      [key: `ipconfig${number}`]: string | undefined;
      /** Serial port: `socket`, a console of its own. The first is always there, set or not. */
      [key: `serial${number}`]: string | undefined;
      /** Volume of the machine that no disk uses. */
      [key: `unused${number}`]: string | undefined;
      /** Directory of the host that the guest mounts by the name of its mapping: `MAPPING[,cache=…]`. */
      [key: `virtiofs${number}`]: string | undefined;
    };
    output: string;
  };
  /** Shows which settings of a virtual machine wait for its next start. */
  "GET /nodes/{node}/qemu/{vmid}/pending": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: Array<PendingEntry>;
  };
  /** Shows state and figures of a virtual machine. */
  "GET /nodes/{node}/qemu/{vmid}/status/current": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: GuestCurrent;
  };
  /** Starts a virtual machine. */
  "POST /nodes/{node}/qemu/{vmid}/status/start": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the start. */
      timeout?: number;
    };
    output: string;
  };
  /** Stops a virtual machine at once, as pulling its plug would. */
  "POST /nodes/{node}/qemu/{vmid}/status/stop": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the stop. */
      timeout?: number;
      /** End a shutdown of the guest that is under way. */
      "overrule-shutdown"?: Flag;
    };
    output: string;
  };
  /** Asks a virtual machine to shut down and waits for it. */
  "POST /nodes/{node}/qemu/{vmid}/status/shutdown": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the guest (default 180 for a virtual machine, 60 for a container). */
      timeout?: number;
      /** Stop the guest when it has not shut down in time. */
      forceStop?: Flag;
    };
    output: string;
  };
  /** Shuts a virtual machine down and starts it again, with settings that waited. */
  "POST /nodes/{node}/qemu/{vmid}/status/reboot": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the start. */
      timeout?: number;
    };
    output: string;
  };
  /** Resets a virtual machine as its reset button would. */
  "POST /nodes/{node}/qemu/{vmid}/status/reset": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: string;
  };
  /** Pauses a virtual machine, or saves its state to a volume and stops it. */
  "POST /nodes/{node}/qemu/{vmid}/status/suspend": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Save its state and stop it; its next start goes on from there. Otherwise it is paused. */
      todisk?: Flag;
      /** Storage for the state (default: the one of the first disk). */
      statestorage?: string;
    };
    output: string;
  };
  /** Lets a paused or suspended virtual machine go on. */
  "POST /nodes/{node}/qemu/{vmid}/status/resume": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: string;
  };
  /** Makes a disk of a virtual machine larger, while it runs or not. */
  "PUT /nodes/{node}/qemu/{vmid}/resize": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The disk, e.g. `virtio0`; of a container `rootfs`. */
      disk: string;
      /** Its new size, `32G`, or what is added to it, `+4G`. */
      size: string;
      /** Refuse if the configuration has another digest. */
      digest?: string;
    };
    output: string;
  };
  /** Takes disks away from a virtual machine. */
  "PUT /nodes/{node}/qemu/{vmid}/unlink": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The disks, separated by commas, e.g. `scsi1,unused0`. */
      idlist: string;
      /** Remove the volumes of disks that are in use, too, rather than keeping them unused. */
      force?: Flag;
    };
    output: null;
  };
  /** Shows what a virtual machine tells cloud-init, and what of it waits for the next start. */
  "GET /nodes/{node}/qemu/{vmid}/cloudinit": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: Array<PendingEntry>;
  };
  /** Writes the disc of cloud-init anew and puts it into the drive of a virtual machine that runs. */
  "PUT /nodes/{node}/qemu/{vmid}/cloudinit": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: null;
  };
  /** Shows a document that cloud-init reads in a virtual machine, without the password. */
  "GET /nodes/{node}/qemu/{vmid}/cloudinit/dump": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The document. */
      type: "user" | "network" | "meta";
    };
    output: string;
  };
  /** Types a combination of keys at the screen of a running virtual machine. */
  "PUT /nodes/{node}/qemu/{vmid}/sendkey": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Names of the keys that are pressed together, joined by dashes, e.g. `ctrl-alt-delete`. */
      key: string;
    };
    output: null;
  };
  /** Prepares the serial console of a virtual machine. */
  "POST /nodes/{node}/qemu/{vmid}/termproxy": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Serial port (default: the one that `vga` names, or serial0). */
      serial?: "serial0" | "serial1" | "serial2" | "serial3";
    };
    output: ConsoleTicket;
  };
  /** Prepares the graphical console of a virtual machine. */
  "POST /nodes/{node}/qemu/{vmid}/vncproxy": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Prepare for a websocket; there is no other way. */
      websocket?: Flag;
      /** Generate a short password for VNC in place of the ticket (default off). */
      "generate-password"?: Flag;
    };
    output: ScreenTicket;
  };
  /** Has the guest agent do a command that takes no arguments. */
  "POST /nodes/{node}/qemu/{vmid}/agent": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The command. */
      command: "fsfreeze-freeze" | "fsfreeze-status" | "fsfreeze-thaw" | "fstrim" | "get-fsinfo" | "get-host-name" | "get-memory-block-info" | "get-memory-blocks" | "get-osinfo" | "get-time" | "get-timezone" | "get-users" | "get-vcpus" | "info" | "network-get-interfaces" | "ping" | "shutdown" | "suspend-disk" | "suspend-hybrid" | "suspend-ram";
    };
    output: AgentResult;
  };
  /** Checks that the guest agent answers. */
  "POST /nodes/{node}/qemu/{vmid}/agent/ping": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows version and commands of the guest agent. */
  "GET /nodes/{node}/qemu/{vmid}/agent/info": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's network interfaces with their addresses. */
  "GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's file systems. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-fsinfo": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's operating system. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-osinfo": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's name. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-host-name": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's time in nanoseconds since 1970. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-time": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's time zone. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-timezone": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows who is logged in to the guest. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-users": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's processors. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-vcpus": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the guest's blocks of memory. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-memory-blocks": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows the size of the guest's blocks of memory. */
  "GET /nodes/{node}/qemu/{vmid}/agent/get-memory-block-info": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Freezes the guest's file systems, so that a copy of its disks is consistent. */
  "POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-freeze": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Shows whether the guest's file systems are frozen. */
  "POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-status": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Thaws the guest's file systems. */
  "POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-thaw": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Has the guest give unused blocks of its file systems back. */
  "POST /nodes/{node}/qemu/{vmid}/agent/fstrim": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Has the guest switch itself off. */
  "POST /nodes/{node}/qemu/{vmid}/agent/shutdown": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Has the guest suspend itself to its own disk. */
  "POST /nodes/{node}/qemu/{vmid}/agent/suspend-disk": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Has the guest suspend itself to memory and disk. */
  "POST /nodes/{node}/qemu/{vmid}/agent/suspend-hybrid": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Has the guest suspend itself to memory. */
  "POST /nodes/{node}/qemu/{vmid}/agent/suspend-ram": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: AgentResult;
  };
  /** Starts a program in the guest. */
  "POST /nodes/{node}/qemu/{vmid}/agent/exec": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The program and its arguments. */
      command: Array<string>;
      /** What the program reads. */
      "input-data"?: string;
    };
    output: AgentExecuted;
  };
  /** Shows what became of a program that was started in the guest, and what it printed. */
  "GET /nodes/{node}/qemu/{vmid}/agent/exec-status": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Its process number in the guest. */
      pid: number;
    };
    output: AgentFinished;
  };
  /** Reads a file of the guest. */
  "GET /nodes/{node}/qemu/{vmid}/agent/file-read": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Path of the file in the guest. */
      file: string;
      /** Most bytes to read (default 16 MiB). */
      count?: number;
      /** Where in the file to begin, in bytes. */
      offset?: number;
      /** Give the content as text (default); otherwise in base64. */
      decode?: Flag;
    };
    output: AgentFile;
  };
  /** Writes a file of the guest. */
  "POST /nodes/{node}/qemu/{vmid}/agent/file-write": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Path of the file in the guest. */
      file: string;
      /** What it will hold. */
      content: string;
      /** The content is text (default); otherwise it is base64. */
      encode?: Flag;
    };
    output: null;
  };
  /** Gives a user of the guest another password. */
  "POST /nodes/{node}/qemu/{vmid}/agent/set-user-password": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The user in the guest. */
      username: string;
      /** The password. */
      password: string;
      /** The password is as the guest's system stores it (default off). */
      crypted?: Flag;
    };
    output: AgentResult;
  };
  /** Lists the containers that the caller may see. */
  "GET /nodes/{node}/lxc": {
    params: {
      /** Name of the node. */
      node: string;
    };
    output: Array<GuestStatus>;
  };
  /** Creates a container. */
  "POST /nodes/{node}/lxc": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number, free in the whole cluster. */
      vmid: number;
      /** Archive of its root file system: a volume of content kind `vztmpl`. */
      ostemplate: string;
      /** Storage of the root file system when `rootfs` names none (default local). */
      storage?: string;
      /** Password of root inside. */
      password?: string;
      /** Keys that may log in as root over SSH, one a line. */
      "ssh-public-keys"?: string;
      /** Start it when it is made. */
      start?: Flag;
      /** Pool to put it into. */
      pool?: string;
      /** Let a backup replace the container of that number; a new container never does. */
      force?: Flag;
      /** Host name (default CT and its number). */
      hostname?: string;
      /** Free text shown with the guest. */
      description?: string;
      /** Tags, separated by ';'. */
      tags?: string;
      /** Memory in MiB (default 512). */
      memory?: number;
      /** Swap in MiB (default 512). */
      swap?: number;
      /** Cores it may use (default all). */
      cores?: number;
      /** Processor time it may use, in cores; 0 is no limit. */
      cpulimit?: number;
      /** Its share of processor time against other guests (default 100). */
      cpuunits?: number;
      /** Root file system: `STORAGE:GIB` for a new one. */
      rootfs?: string;
      /** Kind of distribution inside; no effect. */
      ostype?: string;
      /** Architecture; only amd64. */
      arch?: "amd64";
      /** Always 1: container root is an ordinary user of the host. */
      unprivileged?: Flag;
      /** Start with the host. */
      onboot?: Flag;
      /** Order and delays of the start with the host. */
      startup?: string;
      /** Refuse to remove the guest. */
      protection?: Flag;
      /** Whether it is a template: it never runs, and clones share its volume. A container becomes one
       *  by a method of its own. */
      template?: Flag;
      /** Features, e.g. `nesting=1`. */
      features?: string;
      /** Console; always on. */
      console?: "1";
      /** Name servers, separated by blanks; default those of the host. */
      nameserver?: string;
      /** DNS search domain; default that of the host. */
      searchdomain?: string;
      /** Network card: `name=eth0,bridge=vmbr0,ip=dhcp`. */
      [key: `net${number}`]: string | undefined;
      /** Volume of the container that it does not use. */
      [key: `unused${number}`]: string | undefined;
    };
    output: string;
  };
  /** Deletes a container with its volumes. */
  "DELETE /nodes/{node}/lxc/{vmid}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Also remove what else names the guest. Permissions on it and its place in a pool go in
       * any case. */
      purge?: Flag;
      /** Also remove volumes of the guest that its configuration does not name. */
      "destroy-unreferenced-disks"?: Flag;
      /** Stop the guest first if it runs. */
      force?: Flag;
    };
    output: string;
  };
  /** Shows the configuration of a container. */
  "GET /nodes/{node}/lxc/{vmid}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The configuration that runs, rather than the one of the next start. */
      current?: Flag;
      /** The configuration of this snapshot. */
      snapshot?: string;
    };
    output: WithDigest2;
  };
  /** Changes the configuration of a container. */
  "PUT /nodes/{node}/lxc/{vmid}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Settings to remove, separated by commas. */
      delete?: string;
      /** Refuse the change if the configuration has another digest. */
      digest?: string;
      /** Host name (default CT and its number). */
      hostname?: string;
      /** Free text shown with the guest. */
      description?: string;
      /** Tags, separated by ';'. */
      tags?: string;
      /** Memory in MiB (default 512). */
      memory?: number;
      /** Swap in MiB (default 512). */
      swap?: number;
      /** Cores it may use (default all). */
      cores?: number;
      /** Processor time it may use, in cores; 0 is no limit. */
      cpulimit?: number;
      /** Its share of processor time against other guests (default 100). */
      cpuunits?: number;
      /** Root file system: `STORAGE:GIB` for a new one. */
      rootfs?: string;
      /** Kind of distribution inside; no effect. */
      ostype?: string;
      /** Architecture; only amd64. */
      arch?: "amd64";
      /** Always 1: container root is an ordinary user of the host. */
      unprivileged?: Flag;
      /** Start with the host. */
      onboot?: Flag;
      /** Order and delays of the start with the host. */
      startup?: string;
      /** Refuse to remove the guest. */
      protection?: Flag;
      /** Whether it is a template: it never runs, and clones share its volume. A container becomes one
       *  by a method of its own. */
      template?: Flag;
      /** Features, e.g. `nesting=1`. */
      features?: string;
      /** Console; always on. */
      console?: "1";
      /** Name servers, separated by blanks; default those of the host. */
      nameserver?: string;
      /** DNS search domain; default that of the host. */
      searchdomain?: string;
      /** Network card: `name=eth0,bridge=vmbr0,ip=dhcp`. */
      [key: `net${number}`]: string | undefined;
      /** Volume of the container that it does not use. */
      [key: `unused${number}`]: string | undefined;
    };
    output: null;
  };
  /** Shows which settings of a container wait for its next start. */
  "GET /nodes/{node}/lxc/{vmid}/pending": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: Array<PendingEntry>;
  };
  /** Shows state and figures of a container. */
  "GET /nodes/{node}/lxc/{vmid}/status/current": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: GuestCurrent;
  };
  /** Lists the network interfaces inside a running container. */
  "GET /nodes/{node}/lxc/{vmid}/interfaces": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: Array<CtInterface>;
  };
  /** Starts a container. */
  "POST /nodes/{node}/lxc/{vmid}/status/start": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the start. */
      timeout?: number;
    };
    output: string;
  };
  /** Stops a container at once. */
  "POST /nodes/{node}/lxc/{vmid}/status/stop": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the stop. */
      timeout?: number;
      /** End a shutdown of the guest that is under way. */
      "overrule-shutdown"?: Flag;
    };
    output: string;
  };
  /** Asks a container to shut down and waits for it. */
  "POST /nodes/{node}/lxc/{vmid}/status/shutdown": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the guest (default 180 for a virtual machine, 60 for a container). */
      timeout?: number;
      /** Stop the guest when it has not shut down in time. */
      forceStop?: Flag;
    };
    output: string;
  };
  /** Shuts a container down and starts it again, with settings that waited. */
  "POST /nodes/{node}/lxc/{vmid}/status/reboot": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Seconds to wait for the start. */
      timeout?: number;
    };
    output: string;
  };
  /** Makes a volume of a container larger, and the file system on it. */
  "PUT /nodes/{node}/lxc/{vmid}/resize": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** The disk, e.g. `virtio0`; of a container `rootfs`. */
      disk: string;
      /** Its new size, `32G`, or what is added to it, `+4G`. */
      size: string;
      /** Refuse if the configuration has another digest. */
      digest?: string;
    };
    output: string;
  };
  /** Prepares the console of a container. */
  "POST /nodes/{node}/lxc/{vmid}/termproxy": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: ConsoleTicket;
  };
  /** Makes a copy of a virtual machine or of a template. */
  "POST /nodes/{node}/qemu/{vmid}/clone": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Number of the clone, free in the whole cluster. */
      newid: number;
      /** Name of the clone. */
      name?: string;
      /** Description of the clone (default: the one of the guest). */
      description?: string;
      /** Pool to put the clone into. */
      pool?: string;
      /** The snapshot that is cloned, rather than what the guest is now. */
      snapname?: string;
      /** Copy every disk in full. A guest that is no template always is; of a template, the clone
       * shares the disks otherwise. */
      full?: Flag;
      /** Storage of full copies (default: each stays on the storage of its disk). */
      storage?: string;
      /** Format of full copies (default: as the disk's, where the storage has it). */
      format?: "raw" | "qcow2";
      /** Node that gets the clone; only this one. */
      target?: string;
      /** Most KiB a second that are copied; 0 is no limit. */
      bwlimit?: number;
    };
    output: string;
  };
  /** Turns a virtual machine into a template: it is never started again, and clones share its disks. */
  "POST /nodes/{node}/qemu/{vmid}/template": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: string;
  };
  /** Says whether the disks of a virtual machine allow something. */
  "GET /nodes/{node}/qemu/{vmid}/feature": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** What it is asked for. */
      feature: "snapshot" | "clone" | "copy";
      /** The snapshot that is meant, rather than what the guest is now. */
      snapname?: string;
    };
    output: FeatureAnswer;
  };
  /** Makes a copy of a container or of a template. */
  "POST /nodes/{node}/lxc/{vmid}/clone": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Number of the clone, free in the whole cluster. */
      newid: number;
      /** Host name of the clone. */
      hostname?: string;
      /** Description of the clone (default: the one of the guest). */
      description?: string;
      /** Pool to put the clone into. */
      pool?: string;
      /** The snapshot that is cloned, rather than what the guest is now. */
      snapname?: string;
      /** Copy every volume in full. A guest that is no template always is; of a template, the clone
       * shares the volumes otherwise. */
      full?: Flag;
      /** Storage of full copies (default: each stays on the storage of its volume). */
      storage?: string;
      /** Node that gets the clone; only this one. */
      target?: string;
      /** Most KiB a second that are copied; 0 is no limit. */
      bwlimit?: number;
    };
    output: string;
  };
  /** Turns a container into a template: it is never started again, and clones share its volumes. */
  "POST /nodes/{node}/lxc/{vmid}/template": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: null;
  };
  /** Says whether the volumes of a container allow something. */
  "GET /nodes/{node}/lxc/{vmid}/feature": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** What it is asked for. */
      feature: "snapshot" | "clone" | "copy";
      /** The snapshot that is meant, rather than what the guest is now. */
      snapname?: string;
    };
    output: FeatureAnswer;
  };
  /** Lists the snapshots of a virtual machine; the last is what it is now. */
  "GET /nodes/{node}/qemu/{vmid}/snapshot": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: Array<SnapshotEntry>;
  };
  /** Takes a snapshot of a virtual machine, which may run. */
  "POST /nodes/{node}/qemu/{vmid}/snapshot": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Free text about it. */
      description?: string;
      /** With the memory of a machine that runs. */
      vmstate?: Flag;
    };
    output: string;
  };
  /** Removes a snapshot of a virtual machine. */
  "DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Forget it even if a storage cannot remove its part. */
      force?: Flag;
    };
    output: string;
  };
  /** Makes a virtual machine what it was at a snapshot; what it is now is lost. */
  "POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Start the guest afterwards. A snapshot with memory goes on by itself. */
      start?: Flag;
    };
    output: string;
  };
  /** Shows what a virtual machine was configured to be at a snapshot. */
  "GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
    };
    output: SnapshotConfig;
  };
  /** Changes the description of a snapshot of a virtual machine. */
  "PUT /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Free text about it. */
      description?: string;
    };
    output: null;
  };
  /** Lists the snapshots of a container; the last is what it is now. */
  "GET /nodes/{node}/lxc/{vmid}/snapshot": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
    };
    output: Array<SnapshotEntry>;
  };
  /** Takes a snapshot of a container, which may run. */
  "POST /nodes/{node}/lxc/{vmid}/snapshot": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Free text about it. */
      description?: string;
    };
    output: string;
  };
  /** Removes a snapshot of a container. */
  "DELETE /nodes/{node}/lxc/{vmid}/snapshot/{snapname}": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Forget it even if a storage cannot remove its part. */
      force?: Flag;
    };
    output: string;
  };
  /** Makes a container what it was at a snapshot; what it is now is lost. */
  "POST /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Start the guest afterwards. A snapshot with memory goes on by itself. */
      start?: Flag;
    };
    output: string;
  };
  /** Shows what a container was configured to be at a snapshot. */
  "GET /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
    };
    output: SnapshotConfig2;
  };
  /** Changes the description of a snapshot of a container. */
  "PUT /nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** Name of the snapshot. */
      snapname: string;
      /** Free text about it. */
      description?: string;
    };
    output: null;
  };
  /** Starts guests of a node in their order. */
  "POST /nodes/{node}/startall": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only these, separated by commas; otherwise those that start with the host. */
      vms?: string;
      /** Those, too, that do not start with the host. */
      force?: Flag;
      /** So many at the same time (default 4). */
      "max-workers"?: number;
    };
    output: string;
  };
  /** Shuts guests of a node down in the reverse of their order. */
  "POST /nodes/{node}/stopall": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only these, separated by commas. */
      vms?: string;
      /** Stop guests that have not shut down in time (default yes). */
      "force-stop"?: Flag;
      /** Seconds to wait for each (default 180). */
      timeout?: number;
      /** So many at the same time (default 4). */
      "max-workers"?: number;
    };
    output: string;
  };
  /** Pauses virtual machines of a node. It takes the right to on each that is named, or on all. */
  "POST /nodes/{node}/suspendall": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only these, separated by commas. */
      vms?: string;
      /** So many at the same time (default 4). */
      "max-workers"?: number;
    };
    output: string;
  };
  /** Starts guests. It takes the right to on each that is named, or on all. */
  "POST /cluster/bulk-action/guest/start": {
    params: {
      /** Only these. */
      vms?: Array<number>;
      /** Seconds to wait for each; a start does not take that long here. */
      timeout?: number;
      /** So many at the same time (default 4). */
      "max-workers"?: number;
      /** The same by its old name. */
      maxworkers?: number;
    };
    output: string;
  };
  /** Shuts guests down. It takes the right to on each that is named, or on all. */
  "POST /cluster/bulk-action/guest/shutdown": {
    params: {
      /** Only these. */
      vms?: Array<number>;
      /** Stop guests that have not shut down in time (default yes). */
      "force-stop"?: Flag;
      /** Seconds to wait for each (default 180). */
      timeout?: number;
      /** So many at the same time (default 4). */
      "max-workers"?: number;
      /** The same by its old name. */
      maxworkers?: number;
    };
    output: string;
  };
  /** Suspends virtual machines. It takes the right to on each that is named, or on all. */
  "POST /cluster/bulk-action/guest/suspend": {
    params: {
      /** Only these. */
      vms?: Array<number>;
      /** Save their states and stop them, rather than pausing them. */
      "to-disk"?: Flag;
      /** Storage for the states (default: the one of each machine's first disk). */
      statestorage?: string;
      /** So many at the same time (default 4). */
      "max-workers"?: number;
      /** The same by its old name. */
      maxworkers?: number;
    };
    output: string;
  };
  /** Lists the guests that no backup job covers: without backup jobs, that is every one. */
  "GET /cluster/backup-info/not-backed-up": {
    params: Record<string, never>;
    output: Array<NotBackedUp>;
  };
  /** Lists the jobs that copy guests of a node to others; one node alone has none. */
  "GET /nodes/{node}/replication": {
    params: {
      /** Name of the node. */
      node: string;
      /** Only those of this guest. */
      guest?: number;
    };
    output: Array<ReplicationJob>;
  };
  /** Lists the jobs that synchronise realms. */
  "GET /cluster/jobs/realm-sync": {
    params: Record<string, never>;
    output: Array<SyncJobEntry>;
  };
  /** Shows a job that synchronises a realm. */
  "GET /cluster/jobs/realm-sync/{id}": {
    params: {
      /** Its name. */
      id: string;
    };
    output: SyncJobShown;
  };
  /** Adds a job that synchronises a realm. */
  "POST /cluster/jobs/realm-sync/{id}": {
    params: {
      /** Its name: 2 to 64 letters, digits, `-` and `_`, a letter first. */
      id: string;
      /** The realm, of type ldap or ad. */
      realm: string;
      /** When it is done, by the host's clock: e.g. `daily`, `mon..fri 22:30` or `0/15`. */
      schedule: string;
      /** Description. */
      comment?: string;
      /** Whether it is done (default 1). */
      enabled?: Flag;
      /** Whether new users can log in (default as the realm says). */
      "enable-new"?: Flag;
      /** What of users and groups that the directory no longer has is removed, separated by semicolons:
       * `acl`, `entry`, `properties`; or `none` (default as the realm says). */
      "remove-vanished"?: string;
      /** What is synchronised (default as the realm says). */
      scope?: "users" | "groups" | "both";
    };
    output: null;
  };
  /** Changes a job that synchronises a realm. One also needs Realm.AllocateUser for its realm. */
  "PUT /cluster/jobs/realm-sync/{id}": {
    params: {
      /** Its name. */
      id: string;
      /** When it is done, by the host's clock. */
      schedule?: string;
      /** Description. */
      comment?: string;
      /** Whether it is done (default 1). */
      enabled?: Flag;
      /** Whether new users can log in (default as the realm says). */
      "enable-new"?: Flag;
      /** What of users and groups that the directory no longer has is removed, separated by semicolons:
       * `acl`, `entry`, `properties`; or `none` (default as the realm says). */
      "remove-vanished"?: string;
      /** What is synchronised (default as the realm says). */
      scope?: "users" | "groups" | "both";
      /** Settings to put back to their defaults, separated by commas. */
      delete?: string;
    };
    output: null;
  };
  /** Removes a job that synchronises a realm. What was brought here stays. */
  "DELETE /cluster/jobs/realm-sync/{id}": {
    params: {
      /** Its name. */
      id: string;
    };
    output: null;
  };
  /** Shows when a schedule comes next. */
  "GET /cluster/jobs/schedule-analyze": {
    params: {
      /** The schedule. */
      schedule: string;
      /** After when, in seconds since 1970 (default now). */
      starttime?: number;
      /** How many instants to show (default 10). */
      iterations?: number;
    };
    output: Array<ScheduledTime>;
  };
  /** Shows how the figures of a node went. */
  "GET /nodes/{node}/rrddata": {
    params: {
      /** Name of the node. */
      node: string;
      /** How far back. */
      timeframe: "hour" | "day" | "week" | "month" | "year" | "decade";
      /** What to make of the samples of each row (default AVERAGE). */
      cf?: "AVERAGE" | "MAX";
    };
    output: Array<NodeFigures>;
  };
  /** Shows how the figures of a virtual machine went. */
  "GET /nodes/{node}/qemu/{vmid}/rrddata": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** How far back. */
      timeframe: "hour" | "day" | "week" | "month" | "year";
      /** What to make of the samples of each row (default AVERAGE). */
      cf?: "AVERAGE" | "MAX";
    };
    output: Array<GuestFigures>;
  };
  /** Shows how the figures of a container went. */
  "GET /nodes/{node}/lxc/{vmid}/rrddata": {
    params: {
      /** Name of the node. */
      node: string;
      /** Number of the guest. */
      vmid: number;
      /** How far back. */
      timeframe: "hour" | "day" | "week" | "month" | "year";
      /** What to make of the samples of each row (default AVERAGE). */
      cf?: "AVERAGE" | "MAX";
    };
    output: Array<GuestFigures>;
  };
  /** Shows how the room of a storage went. */
  "GET /nodes/{node}/storage/{storage}/rrddata": {
    params: {
      /** Name of the node. */
      node: string;
      /** Name of the storage. */
      storage: string;
      /** How far back. */
      timeframe: "hour" | "day" | "week" | "month" | "year";
      /** What to make of the samples of each row (default AVERAGE). */
      cf?: "AVERAGE" | "MAX";
    };
    output: Array<StorageFigures>;
  };
  /** Lists the servers that are told of figures. */
  "GET /cluster/metrics/server": {
    params: Record<string, never>;
    output: Array<MetricServerEntry>;
  };
  /** Shows a server that is told of figures. */
  "GET /cluster/metrics/server/{id}": {
    params: {
      /** Its name. */
      id: string;
    };
    output: MetricServerShown;
  };
  /** Adds a server that is told of figures. */
  "POST /cluster/metrics/server/{id}": {
    params: {
      /** Its name: a letter, then letters, digits, `-` and `_`. */
      id: string;
      /** What it understands. */
      type: "graphite" | "influxdb" | "opentelemetry";
      /** Its name or address. */
      server: string;
      /** Its port. */
      port: number;
      /** Whether it is told nothing. */
      disable?: Flag;
      /** Most bytes of a packet, for udp (default 1500). */
      mtu?: number;
      /** Seconds it may take, for tcp, and for http to InfluxDB (default 1). */
      timeout?: number;
      /** Where in Graphite's tree the figures go (default proxmox). */
      path?: string;
      /** How Graphite is reached (default udp). */
      proto?: "udp" | "tcp";
      /** How InfluxDB is reached (default udp). */
      influxdbproto?: "udp" | "http" | "https";
      /** Organization in InfluxDB, for http and https (default proxmox). */
      organization?: string;
      /** Bucket in InfluxDB, for http and https (default proxmox). */
      bucket?: string;
      /** What stands before InfluxDB's paths, e.g. behind a proxy. */
      "api-path-prefix"?: string;
      /** Most bytes of a request to InfluxDB (default 25000000). */
      "max-body-size"?: number;
      /** Whether InfluxDB's certificate has to be valid (default yes). */
      "verify-certificate"?: Flag;
      /** How the collector is reached (default https). */
      "otel-protocol"?: "http" | "https";
      /** Path of the collector (default /v1/metrics). */
      "otel-path"?: string;
      /** Seconds the collector may take (default 5). */
      "otel-timeout"?: number;
      /** Whether the collector's certificate has to be valid (default yes). */
      "otel-verify-ssl"?: Flag;
      /** Most bytes of a request to the collector, before compression (default 10000000). */
      "otel-max-body-size"?: number;
      /** Whether requests to the collector are compressed (default gzip). */
      "otel-compression"?: "none" | "gzip";
      /** What else to say of this host: a JSON object of texts, which may be encoded as base64. */
      "otel-resource-attributes"?: string;
      /** Token for InfluxDB's API; it is never shown. */
      token?: string;
      /** Headers for the collector, a JSON object of texts, which may be encoded as base64; they are
       * never shown, for they may prove who asks. */
      "otel-headers"?: string;
    };
    output: null;
  };
  /** Changes a server that is told of figures. */
  "PUT /cluster/metrics/server/{id}": {
    params: {
      /** Its name. */
      id: string;
      /** Its name or address on the network. */
      server?: string;
      /** Its port. */
      port?: number;
      /** Whether it is told nothing. */
      disable?: Flag;
      /** Most bytes of a packet, for udp (default 1500). */
      mtu?: number;
      /** Seconds it may take, for tcp, and for http to InfluxDB (default 1). */
      timeout?: number;
      /** Where in Graphite's tree the figures go (default proxmox). */
      path?: string;
      /** How Graphite is reached (default udp). */
      proto?: "udp" | "tcp";
      /** How InfluxDB is reached (default udp). */
      influxdbproto?: "udp" | "http" | "https";
      /** Organization in InfluxDB, for http and https (default proxmox). */
      organization?: string;
      /** Bucket in InfluxDB, for http and https (default proxmox). */
      bucket?: string;
      /** What stands before InfluxDB's paths, e.g. behind a proxy. */
      "api-path-prefix"?: string;
      /** Most bytes of a request to InfluxDB (default 25000000). */
      "max-body-size"?: number;
      /** Whether InfluxDB's certificate has to be valid (default yes). */
      "verify-certificate"?: Flag;
      /** How the collector is reached (default https). */
      "otel-protocol"?: "http" | "https";
      /** Path of the collector (default /v1/metrics). */
      "otel-path"?: string;
      /** Seconds the collector may take (default 5). */
      "otel-timeout"?: number;
      /** Whether the collector's certificate has to be valid (default yes). */
      "otel-verify-ssl"?: Flag;
      /** Most bytes of a request to the collector, before compression (default 10000000). */
      "otel-max-body-size"?: number;
      /** Whether requests to the collector are compressed (default gzip). */
      "otel-compression"?: "none" | "gzip";
      /** What else to say of this host: a JSON object of texts, which may be encoded as base64. */
      "otel-resource-attributes"?: string;
      /** Token for InfluxDB's API; it is never shown. */
      token?: string;
      /** Headers for the collector, a JSON object of texts, which may be encoded as base64; they are
       * never shown, for they may prove who asks. */
      "otel-headers"?: string;
      /** Settings to put back to their defaults, separated by commas. */
      delete?: string;
      /** Refuse the change if the settings have another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Removes a server that is told of figures. */
  "DELETE /cluster/metrics/server/{id}": {
    params: {
      /** Its name. */
      id: string;
    };
    output: null;
  };
  /** Shows the last figures of everything. */
  "GET /cluster/metrics/export": {
    params: {
      /** Show those of the last half hour, not only the last. */
      history?: Flag;
      /** Only those of this node, which is the only one. */
      "local-only"?: Flag;
      /** Only those of these nodes, separated by commas. */
      "node-list"?: string;
      /** Only those that are newer, in seconds since 1970. */
      "start-time"?: number;
    };
    output: MetricExport;
  };
  /** Lists all targets, of every kind. */
  "GET /cluster/notifications/targets": {
    params: Record<string, never>;
    output: Array<NotifyTarget>;
  };
  /** Sends a test to a target, and fails if it does not get there. */
  "POST /cluster/notifications/targets/{name}/test": {
    params: {
      /** Its name. */
      name: string;
    };
    output: null;
  };
  /** Lists the fields of events that matchers can look at. */
  "GET /cluster/notifications/matcher-fields": {
    params: Record<string, never>;
    output: Array<MatcherField>;
  };
  /** Lists the values that fields of events can have, as far as they are known. */
  "GET /cluster/notifications/matcher-field-values": {
    params: Record<string, never>;
    output: Array<MatcherFieldValue>;
  };
  /** Lists the matchers. */
  "GET /cluster/notifications/matchers": {
    params: Record<string, never>;
    output: Array<NotifyMatcherEntry>;
  };
  /** Shows a matcher. */
  "GET /cluster/notifications/matchers/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: NotifyMatcher;
  };
  /** Adds a matcher, which says which events go to which targets. */
  "POST /cluster/notifications/matchers": {
    params: {
      /** Its name: 2 to 64 letters, digits, `-` and `_`, a letter first. No other target or matcher may
       * have it. */
      name: string;
      /** Description. */
      comment?: string;
      /** Whether it is ignored (default no). */
      disable?: Flag;
      /** Whether it takes the events that its rules do not hold for, instead of the others. */
      "invert-match"?: Flag;
      /** When events happen: `[DAYS] [FROM-TO]`, e.g. `mon..fri 8-17`, by the host's clock. */
      "match-calendar"?: Array<string>;
      /** What events say: `exact:FIELD=VALUE,VALUE…` or `regex:FIELD=EXPRESSION`. */
      "match-field"?: Array<string>;
      /** How bad events are: severities, separated by commas. */
      "match-severity"?: Array<string>;
      /** Whether all rules must hold, or any (default all). */
      mode?: "all" | "any";
      /** The targets that are told. */
      target?: Array<string>;
    };
    output: null;
  };
  /** Changes a matcher. */
  "PUT /cluster/notifications/matchers/{name}": {
    params: {
      /** Its name. */
      name: string;
      /** Description. */
      comment?: string;
      /** Whether it is ignored (default no). */
      disable?: Flag;
      /** Whether it takes the events that its rules do not hold for, instead of the others. */
      "invert-match"?: Flag;
      /** When events happen: `[DAYS] [FROM-TO]`, e.g. `mon..fri 8-17`, by the host's clock. */
      "match-calendar"?: Array<string>;
      /** What events say: `exact:FIELD=VALUE,VALUE…` or `regex:FIELD=EXPRESSION`. */
      "match-field"?: Array<string>;
      /** How bad events are: severities, separated by commas. */
      "match-severity"?: Array<string>;
      /** Whether all rules must hold, or any (default all). */
      mode?: "all" | "any";
      /** The targets that are told. */
      target?: Array<string>;
      /** Names of settings to put back to their defaults. */
      delete?: Array<string>;
      /** Refuse the change if the settings have another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Removes a matcher; the one that is there from the beginning is put back to what it was. */
  "DELETE /cluster/notifications/matchers/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: null;
  };
  /** Lists the targets that are servers of Gotify. */
  "GET /cluster/notifications/endpoints/gotify": {
    params: Record<string, never>;
    output: Array<NotifyGotifyEntry>;
  };
  /** Shows a server of Gotify, without its token. */
  "GET /cluster/notifications/endpoints/gotify/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: NotifyGotify;
  };
  /** Adds a server of Gotify as target. */
  "POST /cluster/notifications/endpoints/gotify": {
    params: {
      /** Its name: 2 to 64 letters, digits, `-` and `_`, a letter first. No other target or matcher may
       * have it. */
      name: string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Address of the server, e.g. `https://gotify.example.org`. */
      server: string;
      /** Token of an application; it is never shown. */
      token: string;
    };
    output: null;
  };
  /** Changes a server of Gotify. */
  "PUT /cluster/notifications/endpoints/gotify/{name}": {
    params: {
      /** Its name. */
      name: string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Address of the server; the token is needed again when it changes. */
      server?: string;
      /** Token of an application; it is never shown. */
      token?: string;
      /** Names of settings to put back to their defaults. */
      delete?: Array<string>;
      /** Refuse the change if the settings have another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Removes a server of Gotify, unless a matcher names it. */
  "DELETE /cluster/notifications/endpoints/gotify/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: null;
  };
  /** Lists the targets that are mail by way of this host. */
  "GET /cluster/notifications/endpoints/sendmail": {
    params: Record<string, never>;
    output: Array<NotifySendmailEntry>;
  };
  /** Shows a target that is mail by way of this host. */
  "GET /cluster/notifications/endpoints/sendmail/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: NotifySendmail;
  };
  /** Adds mail by way of this host as target. */
  "POST /cluster/notifications/endpoints/sendmail": {
    params: {
      /** Its name: 2 to 64 letters, digits, `-` and `_`, a letter first. No other target or matcher may
       * have it. */
      name: string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Name of the sender (default Basalt). */
      author?: string;
      /** Address of the sender (default that of the relay). */
      "from-address"?: string;
      /** Addresses that get the mail; a name without `@` is a user of realm pam. */
      mailto?: Array<string>;
      /** Users that get the mail, at the addresses that they have here. */
      "mailto-user"?: Array<string>;
      /** The target of type smtp whose server and login send the mail. Without it nothing can be sent,
       * for the host has no mail server of its own. */
      relay?: string;
    };
    output: null;
  };
  /** Changes a target that is mail by way of this host. */
  "PUT /cluster/notifications/endpoints/sendmail/{name}": {
    params: {
      /** Its name. */
      name: string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Name of the sender (default Basalt). */
      author?: string;
      /** Address of the sender (default that of the relay). */
      "from-address"?: string;
      /** Addresses that get the mail; a name without `@` is a user of realm pam. */
      mailto?: Array<string>;
      /** Users that get the mail, at the addresses that they have here. */
      "mailto-user"?: Array<string>;
      /** The target of type smtp whose server and login send the mail. Without it nothing can be sent,
       * for the host has no mail server of its own. */
      relay?: string;
      /** Names of settings to put back to their defaults. */
      delete?: Array<string>;
      /** Refuse the change if the settings have another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Removes a target that is mail by way of this host, unless a matcher names it. */
  "DELETE /cluster/notifications/endpoints/sendmail/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: null;
  };
  /** Lists the targets that are mail servers. */
  "GET /cluster/notifications/endpoints/smtp": {
    params: Record<string, never>;
    output: Array<NotifySmtpEntry>;
  };
  /** Shows a mail server, without its password. */
  "GET /cluster/notifications/endpoints/smtp/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: NotifySmtp;
  };
  /** Adds mail by a server as target. */
  "POST /cluster/notifications/endpoints/smtp": {
    params: {
      /** Its name: 2 to 64 letters, digits, `-` and `_`, a letter first. No other target or matcher may
       * have it. */
      name: string;
      /** Name or address of the mail server. */
      server: string;
      /** Address of the sender. */
      "from-address": string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Name of the sender (default Basalt). */
      author?: string;
      /** Addresses that get the mail; a name without `@` is a user of realm pam. */
      mailto?: Array<string>;
      /** Users that get the mail, at the addresses that they have here. */
      "mailto-user"?: Array<string>;
      /** How the connection is kept secret (default tls). */
      mode?: "insecure" | "starttls" | "tls";
      /** Port (default 465 for tls, 587 for starttls, 25 for insecure). */
      port?: number;
      /** Name of the account at the server. */
      username?: string;
      /** Password of the account; it is never shown. */
      password?: string;
    };
    output: null;
  };
  /** Changes a mail server. */
  "PUT /cluster/notifications/endpoints/smtp/{name}": {
    params: {
      /** Its name. */
      name: string;
      /** Name or address of the mail server; the password is needed again when it, the port or the mode
       * changes. */
      server?: string;
      /** Address of the sender. */
      "from-address"?: string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Name of the sender (default Basalt). */
      author?: string;
      /** Addresses that get the mail; a name without `@` is a user of realm pam. */
      mailto?: Array<string>;
      /** Users that get the mail, at the addresses that they have here. */
      "mailto-user"?: Array<string>;
      /** How the connection is kept secret (default tls). */
      mode?: "insecure" | "starttls" | "tls";
      /** Port (default 465 for tls, 587 for starttls, 25 for insecure). */
      port?: number;
      /** Name of the account at the server. */
      username?: string;
      /** Password of the account; it is never shown. */
      password?: string;
      /** Names of settings to put back to their defaults. */
      delete?: Array<string>;
      /** Refuse the change if the settings have another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Removes a mail server, unless a matcher names it or mail goes by way of it. */
  "DELETE /cluster/notifications/endpoints/smtp/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: null;
  };
  /** Lists the targets that are webhooks. */
  "GET /cluster/notifications/endpoints/webhook": {
    params: Record<string, never>;
    output: Array<NotifyWebhookEntry>;
  };
  /** Shows a webhook; of its secrets, the names. */
  "GET /cluster/notifications/endpoints/webhook/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: NotifyWebhook;
  };
  /** Adds a webhook as target: a request whose address, headers and body are templates. */
  "POST /cluster/notifications/endpoints/webhook": {
    params: {
      /** Its name: 2 to 64 letters, digits, `-` and `_`, a letter first. No other target or matcher may
       * have it. */
      name: string;
      /** What is done. */
      method: "post" | "put" | "get";
      /** Address; a template. */
      url: string;
      /** Body of the request as base64; a template. */
      body?: string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Headers of the request: `name=NAME,value=BASE64`; the values are templates. */
      header?: Array<string>;
      /** Secrets that templates use as `{{ secrets.NAME }}`: `name=NAME,value=BASE64`. Values are never
       * shown; a secret whose value is left out keeps the one it has. */
      secret?: Array<string>;
    };
    output: null;
  };
  /** Changes a webhook. */
  "PUT /cluster/notifications/endpoints/webhook/{name}": {
    params: {
      /** Its name. */
      name: string;
      /** What is done. */
      method?: "post" | "put" | "get";
      /** Address; a template. The values of secrets are needed again when its server changes. */
      url?: string;
      /** Body of the request as base64; a template. */
      body?: string;
      /** Description. */
      comment?: string;
      /** Whether it is told nothing (default no). */
      disable?: Flag;
      /** Headers of the request: `name=NAME,value=BASE64`; the values are templates. */
      header?: Array<string>;
      /** Secrets that templates use as `{{ secrets.NAME }}`: `name=NAME,value=BASE64`. Values are never
       * shown; a secret whose value is left out keeps the one it has. */
      secret?: Array<string>;
      /** Names of settings to put back to their defaults. */
      delete?: Array<string>;
      /** Refuse the change if the settings have another digest. */
      digest?: string;
    };
    output: null;
  };
  /** Removes a webhook, unless a matcher names it. */
  "DELETE /cluster/notifications/endpoints/webhook/{name}": {
    params: {
      /** Its name. */
      name: string;
    };
    output: null;
  };
}
