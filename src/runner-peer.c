/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* What a setting says of a daemon's address, and the addresses behind it. */

#include "lib.h"
#include "strnum.h"
#include "antispam-runner.h"
#include "runner-peer.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>

#define HOW "write host:port, or a socket's absolute path"

static bool is_host(const char *host, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (!i_isalnum(host[i]) && strchr(".-_:%", host[i]) == NULL)
			return FALSE;
	}
	return size > 0;
}

int antispam_peer_parse(pool_t pool, const char *value,
			struct antispam_peer *peer_r, const char **error_r)
{
	const char *colon = strrchr(value, ':'), *host = value;
	const struct sockaddr_un un;
	bool is_ipv6 = FALSE;
	size_t size;

	i_zero(peer_r);
	peer_r->name = p_strdup(pool, value);
	if (*value == '/') {
		peer_r->path = peer_r->name;
		if (strlen(value) < sizeof(un.sun_path))
			return 0;
		*error_r = "the path is too long for a socket; " HOW;
		return -1;
	}
	if (colon == NULL) {
		*error_r = "it has no port; " HOW;
		return -1;
	}
	size = colon - value;
	if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
		host++;
		size -= 2;
		is_ipv6 = TRUE;
	}
	if (!is_host(host, size)) {
		*error_r = "this is no host; " HOW;
		return -1;
	}
	if (!is_ipv6 && memchr(host, ':', size) != NULL) {
		*error_r = "an IPv6 address stands in brackets; "
			   "write it as [::1]:783";
		return -1;
	}
	if (str_to_uint(colon + 1, &peer_r->port) < 0 ||
	    peer_r->port == 0 || peer_r->port > 65535) {
		*error_r = "this is no port; " HOW;
		return -1;
	}
	peer_r->host = p_strndup(pool, host, size);
	return 0;
}

static void
addrs_add(struct antispam_peer_addrs *addrs, const struct addrinfo *info)
{
	struct antispam_peer_addr *addr;

	if (addrs->count == N_ELEMENTS(addrs->addrs) ||
	    info->ai_addrlen > sizeof(addr->un))
		return;
	addr = &addrs->addrs[addrs->count++];
	memcpy(&addr->any, info->ai_addr, info->ai_addrlen);
	addr->size = info->ai_addrlen;
}

int antispam_peer_lookup(const struct antispam_peer *peer,
			 struct antispam_peer_addrs *addrs_r,
			 const char **error_r)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list, *info;
	char port[MAX_INT_STRLEN];
	int ret;

	i_zero(addrs_r);
	if (peer->path != NULL) {
		struct antispam_peer_addr *addr = &addrs_r->addrs[0];

		addr->un.sun_family = AF_UNIX;
		i_assert(strlen(peer->path) < sizeof(addr->un.sun_path));
		memcpy(addr->un.sun_path, peer->path, strlen(peer->path));
		addr->size = sizeof(addr->un);
		addrs_r->count = 1;
		return 0;
	}
	(void)i_snprintf(port, sizeof(port), "%u", peer->port);
	ret = getaddrinfo(peer->host, port, &hints, &list);
	if (ret != 0) {
		*error_r = t_strdup_printf(
			"the host %s was not found: %s", peer->host,
			ret == EAI_SYSTEM ? strerror(errno) :
					    gai_strerror(ret));
		return -1;
	}
	for (info = list; info != NULL; info = info->ai_next)
		addrs_add(addrs_r, info);
	freeaddrinfo(list);
	return 0;
}

const char *antispam_peer_addr_name(const struct antispam_peer_addr *addr)
{
	char ip[INET6_ADDRSTRLEN];

	if (addr->any.sa_family == AF_INET6) {
		return t_strdup_printf(
			"[%s]:%u",
			inet_ntop(AF_INET6, &addr->in6.sin6_addr, ip,
				  sizeof(ip)),
			ntohs(addr->in6.sin6_port));
	}
	return t_strdup_printf(
		"%s:%u",
		inet_ntop(AF_INET, &addr->in.sin_addr, ip, sizeof(ip)),
		ntohs(addr->in.sin_port));
}
