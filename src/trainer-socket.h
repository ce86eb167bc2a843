#ifndef TRAINER_SOCKET_H
#define TRAINER_SOCKET_H

/* Who connects to the trainer's socket. That may be anybody, so none may keep
   it busy, or waiting, or open for long. */

struct master_service_connection;

/* A line, without its end; any bytes but NUL. trusted: it comes from root, or
   from our own uid. Returns the line to answer (data stack), or NULL. */
typedef const char *trainer_socket_line_t(const char *line, bool trusted);

/* max_clients: how many are served at the same time at most; the oldest gives
   way to a new one. */
void trainer_socket_init(unsigned int max_clients,
			 trainer_socket_line_t *callback);
/* Say good-bye to all clients. */
void trainer_socket_deinit(void);

/* For master_service_run(). */
void trainer_socket_connected(struct master_service_connection *conn);

#endif
