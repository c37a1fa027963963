package value

import "strings"

// BPFKind is an enumeration of bpf(2) whose names systemd.exec(5) writes without underscores, as BPFMapTypeRingbuf.
type BPFKind struct {
	prefix string
	names  string // in their order, with single spaces between them
}

// The enumerations that BPFDelegateCommands= and its neighbours are about, with the names of linux/bpf.h.
var (
	BPFCommands = BPFKind{"BPF", "" +
		"map_create map_lookup_elem map_update_elem map_delete_elem map_get_next_key prog_load obj_pin obj_get prog_attach " +
		"prog_detach prog_test_run prog_get_next_id map_get_next_id prog_get_fd_by_id map_get_fd_by_id obj_get_info_by_fd " +
		"prog_query raw_tracepoint_open btf_load btf_get_fd_by_id task_fd_query map_lookup_and_delete_elem map_freeze " +
		"btf_get_next_id map_lookup_batch map_lookup_and_delete_batch map_update_batch map_delete_batch link_create link_update " +
		"link_get_fd_by_id link_get_next_id enable_stats iter_create link_detach prog_bind_map token_create " +
		"prog_stream_read_by_fd"}
	BPFMaps = BPFKind{"BPFMapType", "" +
		"unspec hash array prog_array perf_event_array percpu_hash percpu_array stack_trace cgroup_array lru_hash lru_percpu_hash " +
		"lpm_trie array_of_maps hash_of_maps devmap sockmap cpumap xskmap sockhash cgroup_storage reuseport_sockarray " +
		"percpu_cgroup_storage queue stack sk_storage devmap_hash struct_ops ringbuf inode_storage task_storage bloom_filter " +
		"user_ringbuf cgrp_storage arena"}
	BPFPrograms = BPFKind{"BPFProgType", "" +
		"unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb cgroup_sock lwt_in lwt_out lwt_xmit " +
		"sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr lwt_seg6local lirc_mode2 sk_reuseport " +
		"flow_dissector cgroup_sysctl raw_tracepoint_writable cgroup_sockopt tracing struct_ops ext lsm sk_lookup syscall " +
		"netfilter"}
	BPFAttachments = BPFKind{"BPF", "" +
		"cgroup_inet_ingress cgroup_inet_egress cgroup_inet_sock_create cgroup_sock_ops sk_skb_stream_parser " +
		"sk_skb_stream_verdict cgroup_device sk_msg_verdict cgroup_inet4_bind cgroup_inet6_bind cgroup_inet4_connect " +
		"cgroup_inet6_connect cgroup_inet4_post_bind cgroup_inet6_post_bind cgroup_udp4_sendmsg cgroup_udp6_sendmsg lirc_mode2 " +
		"flow_dissector cgroup_sysctl cgroup_udp4_recvmsg cgroup_udp6_recvmsg cgroup_getsockopt cgroup_setsockopt trace_raw_tp " +
		"trace_fentry trace_fexit modify_return lsm_mac trace_iter cgroup_inet4_getpeername cgroup_inet6_getpeername " +
		"cgroup_inet4_getsockname cgroup_inet6_getsockname xdp_devmap cgroup_inet_sock_release xdp_cpumap sk_lookup xdp " +
		"sk_skb_verdict sk_reuseport_select sk_reuseport_select_or_migrate perf_event trace_kprobe_multi lsm_cgroup struct_ops " +
		"netfilter tcx_ingress tcx_egress trace_uprobe_multi cgroup_unix_connect cgroup_unix_sendmsg cgroup_unix_recvmsg " +
		"cgroup_unix_getpeername cgroup_unix_getsockname netkit_primary netkit_peer trace_kprobe_session trace_uprobe_session"}
)

// ParseBPF reads names with commas between them, or "any", and gives a bit for each.
func ParseBPF(kind BPFKind, text string) (mask uint64, err error) {
	if text == "any" {
		return ^uint64(0), nil
	}
	names := strings.Fields(kind.names)
	for word := range strings.SplitSeq(text, ",") {
		found := false
		for i, name := range names {
			if word == kind.prefix+joined(name) {
				mask |= 1 << i
				found = true
			}
		}
		if !found {
			return 0, invalid("BPF name", word)
		}
	}
	return mask, nil
}

// joined writes a_name as AName.
func joined(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		b.WriteString(strings.ToUpper(part[:1]))
		b.WriteString(part[1:])
	}
	return b.String()
}
