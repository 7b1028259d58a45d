/* The one definition of every map and setting. */
#include "bpf/maps.bpf.h"
#include "bpf/settings.bpf.h"
#include "bpf/walk.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct call_programs_map call_programs SEC(".maps");
struct rings_map rings SEC(".maps");
struct scratches_map scratches SEC(".maps");
struct counts_map counts SEC(".maps");
struct owners_map owners SEC(".maps");
struct accepted_map accepted SEC(".maps");
struct open_names_map open_names SEC(".maps");
struct open_prefixes_map open_prefixes SEC(".maps");
struct ports_map ports SEC(".maps");
struct workloads_map workloads SEC(".maps");
struct windows_map windows SEC(".maps");
struct walk_map walks SEC(".maps");

const volatile __u32 ring_count = 1;
const volatile __u32 cpu_ring_bytes = 0;
const volatile __u32 process_ring_bytes = 0;
const volatile bool use_v1_cgroup = false;
const volatile bool has_rdonly_cast = false;
const volatile __u32 windows_per_cpu = 1;
const volatile __u64 novelty_seed = 0;

struct nj_settings settings = {0};
struct nj_bell bell = {0};
struct nj_dcache dcache = {0};
struct nj_dcache_sample dcache_sample = {0};
