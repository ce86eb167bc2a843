/* Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file */

/* A client says a line and goes. One that says too much or nothing is gone
   without a word: it may be there to fill the log. */

#include "lib.h"
#include "ioloop.h"
#include "istream.h"
#include "llist.h"
#include "net.h"
#include "master-service.h"
#include "trainer-socket.h"

#include <unistd.h>

#include <sys/socket.h>

/* Of a file name. */
#define MAX_LINE_BYTES 256
#define MAX_LINES 16
/* From the beginning, however busy it is. */
#define MAX_MSECS 5000

struct client {
	struct client *prev, *next;
	int fd;
	struct io *io;
	struct istream *input;
	struct timeout *to;
	unsigned int lines;
	bool trusted;
};

static struct {
	/* The oldest is the first. */
	struct client *head, *tail;
	unsigned int count, max_clients;
	trainer_socket_line_t *callback;
} clients;

static void client_destroy(struct client *client)
{
	DLLIST2_REMOVE(&clients.head, &clients.tail, client);
	clients.count--;
	timeout_remove(&client->to);
	io_remove(&client->io);
	i_stream_destroy(&client->input);
	i_close_fd(&client->fd);
	i_free(client);
	master_service_client_connection_destroyed(master_service);
}

/* Who does not take an answer gets none. */
static void client_answer(const struct client *client, const char *answer)
{
	if (answer == NULL)
		return;
	answer = t_strconcat(answer, "\n", NULL);
	(void)send(client->fd, answer, strlen(answer),
		   MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void client_input(struct client *client)
{
	const char *line;

	if (i_stream_read(client->input) == -2) {
		client_destroy(client);
		return;
	}
	while (client->lines < MAX_LINES &&
	       (line = i_stream_next_line(client->input)) != NULL) {
		client->lines++;
		T_BEGIN {
			client_answer(client, clients.callback(line, client->trusted));
		} T_END;
	}
	if (client->input->eof || client->lines == MAX_LINES)
		client_destroy(client);
}

static bool is_trusted(int fd)
{
	struct net_unix_cred cred;

	return net_getunixcred(fd, &cred) == 0 &&
		(cred.uid == 0 || cred.uid == geteuid());
}

void trainer_socket_connected(struct master_service_connection *conn)
{
	struct client *client;

	if (clients.count == clients.max_clients)
		client_destroy(clients.head);
	master_service_client_connection_accept(conn);
	client = i_new(struct client, 1);
	client->fd = conn->fd;
	client->trusted = is_trusted(conn->fd);
	client->input = i_stream_create_fd(conn->fd, MAX_LINE_BYTES);
	client->io = io_add_istream(client->input, client_input, client);
	client->to = timeout_add(MAX_MSECS, client_destroy, client);
	DLLIST2_APPEND(&clients.head, &clients.tail, client);
	clients.count++;
}

void trainer_socket_init(unsigned int max_clients,
			 trainer_socket_line_t *callback)
{
	clients.max_clients = max_clients;
	clients.callback = callback;
}

void trainer_socket_deinit(void)
{
	while (clients.head != NULL)
		client_destroy(clients.head);
}
