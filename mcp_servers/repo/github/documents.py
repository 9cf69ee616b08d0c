"""The GraphQL documents: what GitHub's REST API cannot tell or do. A test holds each against GitHub's schema."""

COMMENTS = """
fragment Comments on PullRequestReviewCommentConnection {
  pageInfo { hasNextPage endCursor }
  nodes {
    databaseId
    body
    createdAt
    author { __typename login }
    pullRequestReview { databaseId }
  }
}
"""

THREADS = COMMENTS + """
query Threads($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 50, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes {
          id
          isResolved
          isOutdated
          path
          line
          originalLine
          diffSide
          comments(first: 100) { ...Comments }
        }
      }
    }
  }
}
"""

MORE_COMMENTS = COMMENTS + """
query MoreComments($thread: ID!, $after: String) {
  node(id: $thread) {
    ... on PullRequestReviewThread {
      comments(first: 100, after: $after) { ...Comments }
    }
  }
}
"""

RESOLVE = """
mutation Resolve($thread: ID!) {
  resolveReviewThread(input: {threadId: $thread}) {
    thread { id isResolved }
  }
}
"""

MARK_READY = """
mutation MarkReady($pullRequest: ID!) {
  markPullRequestReadyForReview(input: {pullRequestId: $pullRequest}) {
    pullRequest { id isDraft }
  }
}
"""

DOCUMENTS = {"threads": THREADS, "more_comments": MORE_COMMENTS, "resolve": RESOLVE, "mark_ready": MARK_READY}
