#ifndef RUNNER_PEER_H
#define RUNNER_PEER_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct antispam_peer;

struct antispam_peer_addr {
	socklen_t size;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* More addresses of a name are not tried. */
#define ANTISPAM_PEER_ADDRS_MAX 8
struct antispam_peer_addrs {
	unsigned int count;
	struct antispam_peer_addr addrs[ANTISPAM_PEER_ADDRS_MAX];
};

/* Find out where a daemon is to be reached: one address at least. Waits for the
   system's resolver if the peer is the name of a host. Returns 0, or -1 and
   *error_r (data stack). */
int antispam_peer_lookup(const struct antispam_peer *peer,
			 struct antispam_peer_addrs *addrs_r,
			 const char **error_r);

/* "127.0.0.1:783". For IP addresses alone. Data stack. */
const char *antispam_peer_addr_name(const struct antispam_peer_addr *addr);

#endif
